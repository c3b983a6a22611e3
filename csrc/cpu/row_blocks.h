// Steps 1 to 6 of the sampling contract for one row: a row as blocks of 64 logits, some of which have been rewritten.
//
// The caller's logits are read where they lie. A bias or a penalty touches few tokens, so only their blocks are copied,
// widened and edited; the table of blocks leads every later pass to the right one. Blocks come in groups of four, and
// what lies beyond the vocabulary is -inf, so that no pass has a tail.
#pragma once

#include <cstdint>
#include <cstring>

#include "nexttoken/adjust.h"
#include "nexttoken/sample.h"

namespace nexttoken {
namespace {

constexpr int32_t kBlock = 64;
constexpr int32_t kBlocksInGroup = 4;
constexpr int32_t kGroup = kBlock * kBlocksInGroup;
constexpr int kBlockVectors = kBlock / kLanes;

int32_t GroupsOf(int64_t vocab_size) {
  return static_cast<int32_t>((vocab_size + kGroup - 1) / kGroup);
}

bool IsNan(float value) {
  return (BitsOfFloat(value) & 0x7fffffffu) > 0x7f800000u;
}

// One logit of the caller's.
float ReadLogit(const RowView& view, int32_t token) {
  const char* from = static_cast<const char*>(view.data) + token * view.stride * ItemSize(view.dtype);
  if (view.dtype == DType::kFloat32) {
    float value;
    memcpy(&value, from, sizeof value);
    return value;
  }
  uint16_t bits;
  memcpy(&bits, from, sizeof bits);
  return view.dtype == DType::kFloat16 ? WidenFloat16(bits) : WidenBFloat16(bits);
}

struct RowBlocks {
  RowView view;
  int32_t groups;
  const void** blocks;      // [groups * kBlocksInGroup] where each block is
  float* slots;             // [groups * kGroup] room for rewritten blocks
  const float* free_slot;   // the first that is not in use
  const float* all_banned;  // a block of -inf
  bool has_nan;             // one was seen where it was then overwritten

  // Rewritten blocks are float32, whatever the row is.
  bool IsRewritten(int32_t block) const {
    const char* at = static_cast<const char*>(blocks[block]);
    return at >= reinterpret_cast<const char*>(slots) && at < reinterpret_cast<const char*>(free_slot);
  }

  float At(int32_t token) const {
    if (!IsRewritten(token / kBlock)) return ReadLogit(view, token);
    return static_cast<const float*>(blocks[token / kBlock])[token % kBlock];
  }
};

template <DType kDType>
Floats LoadRaw(const void* block, int32_t offset) {
  const char* from = static_cast<const char*>(block) + offset * ItemSize(kDType);
  if (kDType == DType::kFloat16) return LoadFloat16(from);
  if (kDType == DType::kBFloat16) return LoadBFloat16(from);
  return Load(from);
}

template <DType kDType>
inline void LoadBlock(const RowBlocks& row, int32_t block, Floats* x) {
  const void* from = row.blocks[block];
  if (kDType == DType::kFloat32 || row.IsRewritten(block)) {
    for (int v = 0; v < kBlockVectors; ++v) x[v] = Load(static_cast<const float*>(from) + v * kLanes);
  } else {
    for (int v = 0; v < kBlockVectors; ++v) x[v] = LoadRaw<kDType>(from, v * kLanes);
  }
}

// The block in a slot of its own.
template <DType kDType>
float* RewriteBlock(RowBlocks* row, int32_t block) {
  if (row->IsRewritten(block)) return const_cast<float*>(static_cast<const float*>(row->blocks[block]));
  float* slot = row->slots + (row->free_slot - row->slots);
  Floats x[kBlockVectors];
  LoadBlock<kDType>(*row, block, x);
  for (int v = 0; v < kBlockVectors; ++v) Store(slot + v * kLanes, x[v]);
  row->blocks[block] = slot;
  row->free_slot = slot + kBlock;
  return slot;
}

// Step 1. `slots` has room for the whole row and one block more.
RowBlocks OpenRow(const RowView& view, const void** blocks, float* slots) {
  RowBlocks row = {view, GroupsOf(view.vocab_size), blocks, slots, slots, nullptr, false};
  const int32_t count = row.groups * kBlocksInGroup;
  const int32_t whole = view.stride == 1 ? view.vocab_size / kBlock : 0;
  for (int32_t block = 0; block < whole; ++block) {
    blocks[block] = static_cast<const char*>(view.data) + int64_t{block} * kBlock * ItemSize(view.dtype);
  }
  // Strided rows and what is left of a dense one are gathered; what lies beyond is one block of -inf.
  const int32_t gathered = (view.vocab_size + kBlock - 1) / kBlock;
  for (int32_t block = whole; block < gathered; ++block) {
    blocks[block] = slots;
    for (int32_t i = 0; i < kBlock; ++i) {
      const int32_t token = block * kBlock + i;
      slots[i] = token < view.vocab_size ? ReadLogit(view, token) : kNegativeInfinity;
    }
    slots += kBlock;
  }
  if (gathered < count) {
    for (int32_t i = 0; i < kBlock; ++i) slots[i] = kNegativeInfinity;
    for (int32_t block = gathered; block < count; ++block) blocks[block] = slots;
    slots += kBlock;
  }
  row.free_slot = slots;
  return row;
}

// Step 2. A mask that allows a whole block leaves it where it is.
template <DType kDType>
void ApplyBitmask(const int32_t* bitmask, RowBlocks* row) {
  const int32_t words = (row->view.vocab_size + 31) / 32;
  const Floats banned = Fill(kNegativeInfinity);
  Mask nan = MaskOf(0);
  for (int32_t block = 0; block * 2 < words; ++block) {
    const uint32_t low = static_cast<uint32_t>(bitmask[block * 2]);
    const uint32_t high = block * 2 + 1 < words ? static_cast<uint32_t>(bitmask[block * 2 + 1]) : 0;
    uint64_t allowed = uint64_t{low} | uint64_t{high} << 32;
    if (allowed == ~uint64_t{0}) continue;
    float* slot = RewriteBlock<kDType>(row, block);
    for (int v = 0; v < kBlockVectors; ++v, allowed >>= kLanes) {
      const Floats x = Load(slot + v * kLanes);
      nan = Or(nan, Unordered(x, x));
      Store(slot + v * kLanes, Select(MaskOf(static_cast<uint32_t>(allowed) & ((1u << kLanes) - 1)), x, banned));
    }
  }
  row->has_nan |= Bits(nan) != 0;
}

// Steps 3 to 6, for the tokens they touch.
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
  for (int32_t i = 0; i < input.history_count; ++i) {
    const HistoryEntry& entry = input.history[i];
    const uint32_t count = entry.output_count + (p.penalize_prompt ? entry.prompt_count : 0);
    float* logit = RewriteBlock<kDType>(row, entry.token / kBlock) + entry.token % kBlock;
    float z = PenalizeRepetition(*logit, p.repetition_penalty);
    z = PenalizeFrequency(z, count, p.frequency_penalty);
    *logit = PenalizePresence(z, count, p.presence_penalty);
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
