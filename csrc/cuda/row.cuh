// One row of a batch as the kernels see it: where its logits are, and its parameters as numbers.
#pragma once

#include <cstdint>

#include "block/group.cuh"
#include "nexttoken/sample_batch.h"

namespace nexttoken {

struct Row {
  RowView logits;
  RowParams params;
  uint64_t step;
  const int32_t* token_bitmask;
  const int32_t* bias_tokens;
  const float* bias_values;
  int64_t bias_count;
  const HistoryEntry* history;  // entries of token -1 are empty
  int64_t history_count;
  int32_t n;
  bool is_bad;  // a parameter is out of range

  __device__ int32_t Chunks() const;
  __device__ bool HasTopK() const { return params.top_k > 0 && params.top_k < logits.vocab_size; }
  __device__ bool HasTopP() const { return params.top_p < 1.0; }
  __device__ bool WantsLogprobs() const { return params.logprobs != kNoLogprobs; }
  __device__ bool WantsRawLogprobs() const { return WantsLogprobs() && params.logprobs_mode == LogprobsMode::kRaw; }
};

// Token counts that a kernel of their own has made of token matrices (count_history.cuh); `entries` null: none.
struct CountedHistory {
  HistoryEntry* entries;  // [batch_size, slots]
  int32_t* is_bad;        // [batch_size] a token id is out of range
  int64_t slots;          // a power of two
};

__device__ inline double RealAt(const Reals& reals, int64_t row) {
  if (!reals.data) return reals.value;
  const int64_t at = row * reals.stride;
  return reals.is_float64 ? static_cast<const double*>(reals.data)[at]
                          : static_cast<double>(static_cast<const float*>(reals.data)[at]);
}

// With `*is_negative` set for those below zero.
__device__ inline uint64_t IntegerAt(const Integers& integers, int64_t row, bool* is_negative) {
  int64_t value;
  if (!integers.data) {
    value = static_cast<int64_t>(integers.value);
  } else if (integers.type == Integers::Type::kInt32) {
    value = static_cast<const int32_t*>(integers.data)[row * integers.stride];
  } else {
    value = static_cast<const int64_t*>(integers.data)[row * integers.stride];
  }
  *is_negative = integers.type != Integers::Type::kUInt64 && value < 0;
  return static_cast<uint64_t>(value);
}

// The ranges are those of python/nexttoken/params.py.
__device__ inline Row OpenRow(const BatchInput& input, const CountedHistory& counted, int64_t index) {
  Row row = {};
  RowParams& p = row.params;
  const auto within = [&](double value, double low, double high) { row.is_bad |= !(value >= low && value <= high); };
  constexpr double kFloatMax = 0x1.fffffep127;

  row.logits = input.logits.Row(index);
  row.n = input.n;
  const double temperature = RealAt(input.temperature, index);
  within(temperature, 0.0, 1e30);
  p.temperature = static_cast<float>(temperature);
  const double presence = RealAt(input.presence_penalty, index);
  within(presence, -kFloatMax, kFloatMax);
  p.presence_penalty = static_cast<float>(presence);
  const double frequency = RealAt(input.frequency_penalty, index);
  within(frequency, -kFloatMax, kFloatMax);
  p.frequency_penalty = static_cast<float>(frequency);
  const double repetition = RealAt(input.repetition_penalty, index);
  within(repetition, 1e-6, 1e6);
  p.repetition_penalty = static_cast<float>(repetition);
  p.top_p = RealAt(input.top_p, index);
  within(p.top_p, 0.0, 1.0);
  p.min_p = RealAt(input.min_p, index);
  within(p.min_p, 0.0, 1.0);

  bool is_negative;
  const uint64_t top_k = IntegerAt(input.top_k, index, &is_negative);
  row.is_bad |= is_negative;
  p.top_k = static_cast<int32_t>(top_k < kMaxVocabSize ? top_k : kMaxVocabSize);
  p.seed = IntegerAt(input.seed, index, &is_negative);
  const uint64_t sequence_index = IntegerAt(input.sequence_index, index, &is_negative);
  row.is_bad |= is_negative || sequence_index > (uint64_t{1} << 32) - static_cast<uint64_t>(input.n);
  p.sequence_index = static_cast<uint32_t>(sequence_index);
  row.step = IntegerAt(input.step, index, &is_negative);
  row.is_bad |= is_negative && input.step.data;
  const uint64_t logprobs = IntegerAt(input.logprobs, index, &is_negative);
  row.is_bad |= is_negative ? logprobs != ~uint64_t{0} : logprobs > kMaxTopLogprobs;
  p.logprobs = static_cast<int8_t>(logprobs);
  p.logprobs_mode = input.logprobs_mode;
  p.penalize_prompt = input.penalize_prompt;

  if (input.token_bitmask) row.token_bitmask = input.token_bitmask + index * input.token_bitmask_stride;
  if (input.bias.begin) {
    const int64_t begin = input.bias.begin[index * input.bias.stride];
    row.bias_tokens = input.bias_tokens + begin;
    row.bias_values = input.bias_values + begin;
    row.bias_count = input.bias.end[index * input.bias.stride] - begin;
  }
  if (!p.HasPenalties()) return row;
  if (counted.entries) {
    row.history = counted.entries + index * counted.slots;
    row.history_count = counted.slots;
    row.is_bad |= counted.is_bad[index] != 0;
  } else if (input.history.begin) {
    const int64_t begin = input.history.begin[index * input.history.stride];
    row.history = input.history_entries + begin;
    row.history_count = input.history.end[index * input.history.stride] - begin;
  }
  return row;
}

__device__ inline bool IsNan(float value) {
  return !(value == value);
}

template <DType kDType>
__device__ __forceinline__ float Widen(uint32_t item) {
  if (kDType == DType::kFloat16) return WidenFloat16(static_cast<uint16_t>(item));
  if (kDType == DType::kBFloat16) return WidenBFloat16(static_cast<uint16_t>(item));
  return FloatFromBits(item);
}

// One logit of the caller's.
template <DType kDType>
__device__ __forceinline__ float ReadLogit(const RowView& view, int32_t token) {
  const int64_t at = token * view.stride;
  if (kDType == DType::kFloat32) return static_cast<const float*>(view.data)[at];
  return Widen<kDType>(static_cast<const uint16_t*>(view.data)[at]);
}

}  // namespace nexttoken
