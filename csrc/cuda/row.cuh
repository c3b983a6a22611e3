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
  const HistoryEntry* history;
  int64_t history_count;
  int32_t n;
  bool history_is_table;  // entries of token -1 are empty
  bool is_bad;            // a parameter is out of range

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

// What a row's parameters are made of. Each is read by a lane of its own: latencies side by side.
enum Parameter : int {
  kTemperature,
  kPresence,
  kFrequency,
  kRepetition,
  kTopP,
  kMinP,
  kTopK,
  kSeed,
  kSequenceIndex,
  kStep,
  kLogprobs,
  kBiasBegin,
  kBiasEnd,
  kHistoryBegin,
  kHistoryEnd,
  kHistoryIsBad,
  kParameters,
};

// Where a parameter's bits are.
struct ParameterBits {
  const void* at = nullptr;  // null: `value`
  int bytes = 0;
  uint64_t value = 0;

  ParameterBits() = default;
  __device__ ParameterBits(const Reals& reals, int64_t row) : bytes(reals.is_float64 ? 8 : 4) {
    if (reals.data) at = static_cast<const char*>(reals.data) + row * reals.stride * bytes;
    memcpy(&value, &reals.value, sizeof value);
  }
  __device__ ParameterBits(const Integers& integers, int64_t row)
      : bytes(integers.type == Integers::Type::kInt32 ? 4 : 8), value(integers.value) {
    if (integers.data) at = static_cast<const char*>(integers.data) + row * integers.stride * bytes;
  }
  __device__ ParameterBits(const int64_t* integers, int64_t row)
      : at(integers ? integers + row : nullptr), bytes(sizeof(int64_t)) {}
  __device__ ParameterBits(const int32_t* integers, int64_t row)
      : at(integers ? integers + row : nullptr), bytes(sizeof(int32_t)) {}

  __device__ uint64_t Read() const {
    if (!at) return value;
    return bytes == 8 ? *static_cast<const uint64_t*>(at) : *static_cast<const uint32_t*>(at);
  }
};

__device__ inline ParameterBits BitsOf(int parameter, const BatchInput& input, const CountedHistory& counted,
                                       int64_t row) {
  switch (parameter) {
    case kTemperature:
      return {input.temperature, row};
    case kPresence:
      return {input.presence_penalty, row};
    case kFrequency:
      return {input.frequency_penalty, row};
    case kRepetition:
      return {input.repetition_penalty, row};
    case kTopP:
      return {input.top_p, row};
    case kMinP:
      return {input.min_p, row};
    case kTopK:
      return {input.top_k, row};
    case kSeed:
      return {input.seed, row};
    case kSequenceIndex:
      return {input.sequence_index, row};
    case kStep:
      return {input.step, row};
    case kLogprobs:
      return {input.logprobs, row};
    case kBiasBegin:
      return {input.bias.begin, row * input.bias.stride};
    case kBiasEnd:
      return {input.bias.end, row * input.bias.stride};
    case kHistoryBegin:
      return {input.history.begin, row * input.history.stride};
    case kHistoryEnd:
      return {input.history.end, row * input.history.stride};
    case kHistoryIsBad:
      return {counted.is_bad, row};
    default:
      return {};
  }
}

// bits[kParameters], by one warp.
__device__ inline void ReadParameters(const BatchInput& input, const CountedHistory& counted, int64_t row,
                                      uint64_t* bits) {
  if (Lane() < kParameters) bits[Lane()] = BitsOf(Lane(), input, counted, row).Read();
  __syncwarp();
}

__device__ inline double RealOf(const Reals& reals, uint64_t bits) {
  if (reals.data && !reals.is_float64) return static_cast<double>(FloatFromBits(static_cast<uint32_t>(bits)));
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// With `*is_negative` set for those below zero.
__device__ inline uint64_t IntegerOf(const Integers& integers, uint64_t bits, bool* is_negative) {
  auto value = static_cast<int64_t>(bits);
  if (integers.data && integers.type == Integers::Type::kInt32) value = static_cast<int32_t>(bits);
  *is_negative = integers.type != Integers::Type::kUInt64 && value < 0;
  return static_cast<uint64_t>(value);
}

// Of what ReadParameters read. The ranges are those of python/nexttoken/params.py.
__device__ inline Row OpenRow(const BatchInput& input, const CountedHistory& counted, int64_t index,
                              const uint64_t* bits) {
  Row row = {};
  RowParams& p = row.params;
  const auto real = [&](const Reals& reals, Parameter parameter, double low, double high) {
    const double value = RealOf(reals, bits[parameter]);
    // A float32 is held against the limits' float32: 1e30 there is a little above 1e30.
    const bool is_float32 = reals.data && !reals.is_float64;
    row.is_bad |= !(value >= (is_float32 ? static_cast<float>(low) : low) &&
                    value <= (is_float32 ? static_cast<float>(high) : high));
    return value;
  };
  constexpr double kFloatMax = 0x1.fffffep127;
  row.logits = input.logits.Row(index);
  row.n = input.n;
  p.temperature = static_cast<float>(real(input.temperature, kTemperature, 0.0, 1e30));
  p.presence_penalty = static_cast<float>(real(input.presence_penalty, kPresence, -kFloatMax, kFloatMax));
  p.frequency_penalty = static_cast<float>(real(input.frequency_penalty, kFrequency, -kFloatMax, kFloatMax));
  p.repetition_penalty = static_cast<float>(real(input.repetition_penalty, kRepetition, 1e-6, 1e6));
  p.top_p = real(input.top_p, kTopP, 0.0, 1.0);
  p.min_p = real(input.min_p, kMinP, 0.0, 1.0);

  bool is_negative;
  const uint64_t top_k = IntegerOf(input.top_k, bits[kTopK], &is_negative);
  row.is_bad |= is_negative;
  p.top_k = static_cast<int32_t>(top_k < kMaxVocabSize ? top_k : kMaxVocabSize);
  p.seed = IntegerOf(input.seed, bits[kSeed], &is_negative);
  const uint64_t sequence_index = IntegerOf(input.sequence_index, bits[kSequenceIndex], &is_negative);
  row.is_bad |= is_negative || sequence_index > (uint64_t{1} << 32) - static_cast<uint64_t>(input.n);
  p.sequence_index = static_cast<uint32_t>(sequence_index);
  row.step = IntegerOf(input.step, bits[kStep], &is_negative);
  row.is_bad |= is_negative && input.step.data;
  const uint64_t logprobs = IntegerOf(input.logprobs, bits[kLogprobs], &is_negative);
  row.is_bad |= is_negative ? logprobs != ~uint64_t{0} : logprobs > kMaxTopLogprobs;
  p.logprobs = static_cast<int8_t>(logprobs);
  p.logprobs_mode = input.logprobs_mode;
  p.penalize_prompt = input.penalize_prompt;

  if (input.token_bitmask) row.token_bitmask = input.token_bitmask + index * input.token_bitmask_stride;
  const auto begin_of = [&](Parameter begin) { return static_cast<int64_t>(bits[begin]); };
  if (input.bias.begin) {
    row.bias_tokens = input.bias_tokens + begin_of(kBiasBegin);
    row.bias_values = input.bias_values + begin_of(kBiasBegin);
    row.bias_count = begin_of(kBiasEnd) - begin_of(kBiasBegin);
  }
  if (!p.HasPenalties()) return row;
  if (counted.entries) {
    row.history = counted.entries + index * counted.slots;
    row.history_count = counted.slots;
    row.history_is_table = true;
    row.is_bad |= bits[kHistoryIsBad] != 0;
  } else if (input.history.begin) {
    row.history = input.history_entries + begin_of(kHistoryBegin);
    row.history_count = begin_of(kHistoryEnd) - begin_of(kHistoryBegin);
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
