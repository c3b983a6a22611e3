// The row kernel: the sampling contract for one row, compiled once per instruction set. The only includers are
// target_*.cc, each after the header of simd/ that it stands for.
//
// Everything here and in the row_*.h it is made of lives in an unnamed namespace and uses nothing of the standard
// library's templates: a symbol shared between targets could be kept by the linker in its AVX-512 form on a machine
// that lacks it.
//
// A row is read for its maxima (row_maxima.h), for a sample where the nucleus must be guessed (row_bracket.h), for
// weights and candidates (row_cut.h), and for logprobs where they are asked for. Integer sums make the result the same
// in any order.
#pragma once

#include <cstdint>
#include <cstring>

#include "nexttoken/philox.h"
#include "nexttoken/sample.h"
#include "row_draw.h"
#include "row_edits.h"
#include "row_logprobs.h"

namespace nexttoken {
namespace {

struct Workspace {
  const void** blocks;
  float* slots;
  Maxima maxima;
  CutWorkspace cut;
};

// Returns the bytes needed, the same for every target; with `base` null, nothing else.
int64_t LayOut(int64_t vocab_size, char* base, Workspace* workspace) {
  int64_t used = 0;
  const auto take = [&](int64_t count, int64_t item) {
    char* start = base ? base + used : nullptr;
    used += (count * item + 63) & ~int64_t{63};
    return start;
  };
  const auto floats = [&](int64_t count) { return reinterpret_cast<float*>(take(count, sizeof(float))); };
  const auto integers = [&](int64_t count) { return reinterpret_cast<int32_t*>(take(count, sizeof(int32_t))); };
  const int32_t groups = GroupsOf(vocab_size);
  const int64_t padded = PaddedGroups(groups);
  const int64_t tokens = int64_t{groups} * kGroup + kColumns;  // a vector may be stored beyond the last
  workspace->blocks = reinterpret_cast<const void**>(take(groups * kBlocksInGroup, sizeof(void*)));
  workspace->slots = floats(tokens + kBlock);
  workspace->maxima.columns = floats(int64_t{groups} * kColumns);
  workspace->maxima.groups = floats(padded);
  CutWorkspace* cut = &workspace->cut;
  cut->masses = reinterpret_cast<uint64_t*>(take(groups, sizeof(uint64_t)));
  cut->starts = integers(groups + 1);
  cut->sample.z = floats(padded + kSampleSize);
  cut->sample.weights = floats(padded + kSampleSize);
  cut->list = {floats(tokens), integers(tokens), 0};
  cut->scratch = {floats(tokens), integers(tokens), 0};
  return used;
}

void WriteBadRow(const RowInput& input, const RowOutput& output, Status status) {
  if (output.status) *output.status = status;
  if (output.mass) *output.mass = 0;
  if (output.weights) memset(output.weights, 0, sizeof(uint64_t) * static_cast<size_t>(input.logits.vocab_size));
  for (int32_t i = 0; i < input.n; ++i) {
    if (output.token_ids) output.token_ids[i] = kNoTokenId;
    if (output.logprobs) output.logprobs[i] = FloatFromBits(0x7fc00000u);
  }
  TopList{}.Write({}, output);
}

template <DType kDType>
void SampleRowAs(const RowInput& input, const RowOutput& output, void* memory) {
  Workspace workspace;
  LayOut(input.logits.vocab_size, static_cast<char*>(memory), &workspace);
  const RowParams& params = input.params;
  const bool wants_logprobs = params.logprobs != kNoLogprobs;
  const bool raw = params.logprobs_mode == LogprobsMode::kRaw;
  const bool greedy = params.IsGreedy();
  Maxima* maxima = &workspace.maxima;
  LogSoftmax softmax;
  TopList top;

  RowBlocks row = OpenRow(input.logits, workspace.blocks, workspace.slots);
  if (wants_logprobs && raw) {
    FindMaxima<kDType>(row, maxima);
    if (!maxima->has_nan && maxima->max > kNegativeInfinity) {
      softmax = Normalize<kDType>(row, *maxima);
      top.Take<kDType>(row, *maxima, nullptr, params.logprobs, workspace.cut.list);
    }
  }
  if (input.token_bitmask) ApplyBitmask<kDType>(input.token_bitmask, &row);
  ApplyEdits<kDType>(input, &row);
  const bool is_edited = input.token_bitmask || input.bias_count > 0 || params.HasPenalties();
  if (is_edited || !(wants_logprobs && raw)) FindMaxima<kDType>(row, maxima);
  if (maxima->has_nan) return WriteBadRow(input, output, Status::kNanLogits);
  if (maxima->max == kNegativeInfinity) return WriteBadRow(input, output, Status::kNoToken);

  Kept kept;
  int32_t token = kNoTokenId;
  if (greedy) {
    token = FirstEqual<kDType>(row, *maxima, maxima->max);
  } else {
    if (maxima->max == -kNegativeInfinity) {
      ShareAmongInfinities<kDType>(&row);
      FindMaxima<kDType>(row, maxima);
    }
    kept = CutRow<kDType>(row, *maxima, params, &workspace.cut);
  }
  if (wants_logprobs && !raw) {
    softmax = greedy ? Normalize<kDType>(row, *maxima) : NormalizeKept(kept, params.temperature);
    // The list of what is kept is in use.
    top.Take<kDType>(row, *maxima, greedy ? nullptr : &kept.cut, params.logprobs, workspace.cut.scratch);
  }

  if (output.token_ids || output.logprobs) {
    if (!greedy) RunningSums(&kept);
    for (int32_t i = 0; i < input.n; ++i) {
      if (!greedy) {
        const uint64_t bits = DrawBits(params.seed, params.sequence_index + static_cast<uint32_t>(i), input.step);
        token = TokenAt<kDType>(row, kept, DrawTarget(bits, kept.mass));
      }
      if (output.token_ids) output.token_ids[i] = token;
      if (output.logprobs) {
        const float z = Canonical(raw ? ReadLogit(input.logits, token) : row.At(token));
        output.logprobs[i] = wants_logprobs ? softmax.Of(z) : FloatFromBits(0x7fc00000u);
      }
    }
  }
  if (output.status) *output.status = Status::kOk;
  if (output.mass) *output.mass = greedy ? kMaxWeight : kept.mass;
  if (output.weights) {
    if (greedy) {
      memset(output.weights, 0, sizeof(uint64_t) * static_cast<size_t>(input.logits.vocab_size));
      output.weights[token] = kMaxWeight;
    } else {
      WriteWeights<kDType>(row, kept, output.weights);
    }
  }
  top.Write(softmax, output);
}

void SampleRow(const RowInput& input, const RowOutput& output, void* memory) {
  switch (input.logits.dtype) {
    case DType::kFloat16:
      return SampleRowAs<DType::kFloat16>(input, output, memory);
    case DType::kBFloat16:
      return SampleRowAs<DType::kBFloat16>(input, output, memory);
    default:
      return SampleRowAs<DType::kFloat32>(input, output, memory);
  }
}

}  // namespace
}  // namespace nexttoken
