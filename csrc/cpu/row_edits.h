// Steps 2 to 6 of the sampling contract: what bitmask, bias and penalties do to a row.
#pragma once

#include <cstdint>

#include "nexttoken/adjust.h"
#include "nexttoken/sample.h"
#include "row_blocks.h"

namespace nexttoken {
namespace {

// A mask that allows a whole block leaves it where it is.
template <DType kDType>
void ApplyBitmask(const int32_t* bitmask, RowBlocks* row) {
  const int32_t words = (row->view.vocab_size + 31) / 32;
  const Floats banned = Fill(kNegativeInfinity);
  Mask nan = MaskOf(0);  // a ban would hide it
  for (int32_t block = 0; block * 2 < words; ++block) {
    const uint32_t low = static_cast<uint32_t>(bitmask[block * 2]);
    const uint32_t high = block * 2 + 1 < words ? static_cast<uint32_t>(bitmask[block * 2 + 1]) : 0;
    uint64_t allowed = uint64_t{low} | uint64_t{high} << 32;
    if (allowed == ~uint64_t{0}) continue;
    float* slot = RewriteBlock<kDType>(row, block);
    for (int v = 0; v < kBlockVectors; ++v, allowed >>= kLanes) {
      const Mask kept = MaskOf(static_cast<uint32_t>(allowed) & ((1u << kLanes) - 1));
      const Floats x = Load(slot + v * kLanes);
      nan = Or(nan, Unordered(x, x));
      Store(slot + v * kLanes, Select(kept, x, banned));
    }
  }
  row->has_nan |= Bits(nan) != 0;
}

// Bias and penalties, for the tokens they touch.
template <DType kDType>
void ApplyEdits(const RowInput& input, RowBlocks* row) {
  for (int32_t i = 0; i < input.bias_count; ++i) {
    const int32_t token = input.bias_tokens[i];
    float* logit = RewriteBlock<kDType>(row, token / kBlock) + token % kBlock;
    row->has_nan |= IsNan(*logit);  // a ban would hide it
    *logit = AddBias(*logit, input.bias_values[i]);
  }
  const RowParams& p = input.params;
  if (!p.HasPenalties()) return;
  const bool repetition = p.repetition_penalty != 1.0f;  // by 1 changes nothing, but whether z > 0 is hard to guess
  for (int32_t i = 0; i < input.history_count; ++i) {
    const HistoryEntry& entry = input.history[i];
    const uint32_t count = entry.output_count + (p.penalize_prompt ? entry.prompt_count : 0);
    float* logit = RewriteBlock<kDType>(row, entry.token / kBlock) + entry.token % kBlock;
    const float z = repetition ? PenalizeRepetition(*logit, p.repetition_penalty) : *logit;
    *logit = PenalizePresence(PenalizeFrequency(z, count, p.frequency_penalty), count, p.presence_penalty);
  }
}

// A row with +inf in it: the tokens at +inf share the mass. They become 0 and all others -inf, which says the same.
template <DType kDType>
void ShareAmongInfinities(RowBlocks* row) {
  const Floats infinity = Fill(-kNegativeInfinity);
  for (int32_t block = 0; block < row->groups * kBlocksInGroup; ++block) {
    float* slot = RewriteBlock<kDType>(row, block);
    for (int v = 0; v < kBlockVectors; ++v) {
      const Mask best = Same(Load(slot + v * kLanes), infinity);
      Store(slot + v * kLanes, Select(best, Fill(0.0f), Fill(kNegativeInfinity)));
    }
  }
}

}  // namespace
}  // namespace nexttoken
