// The body of the row kernel, compiled once per instruction set: the only includers are target_*.cc.
//
// Everything here lives in an unnamed namespace and uses no templates of the standard library: a symbol shared between
// targets could be kept by the linker in its AVX-512 form on a machine that lacks it.
//
// Loops are written for the compiler's vectoriser: branch-free, maxima and sums over integers, because those may be
// reordered without a change of result where floating-point ones may not.
#pragma once

#include <cstdint>
#include <cstring>

#include "nexttoken/adjust.h"
#include "nexttoken/filter.h"
#include "nexttoken/philox.h"
#include "nexttoken/sample.h"
#include "nexttoken/weight.h"
#include "row_logprobs.h"

namespace nexttoken {
namespace {

constexpr int32_t kBlock = 256;  // tokens per partial sum: the draw looks into one block only
constexpr int kDigits = 2048;    // of the radix selection

struct Workspace {
  float* z;              // [V] the row, widened, then adjusted
  uint64_t* weights;     // [V] steps 8 to 11
  uint64_t* block_mass;  // [ceil(V / kBlock)]
  uint64_t* histogram;   // [kDigits]
  uint64_t* masses;      // [V] candidates of a selection: mass, key, token
  uint32_t* keys;        // [V]
  int32_t* tokens;       // [V]
};

int64_t PadTo64(int64_t bytes) {
  return (bytes + 63) & ~int64_t{63};
}

// Returns the bytes needed; with `base` null, nothing else.
int64_t LayOut(int64_t vocab_size, char* base, Workspace* workspace) {
  int64_t used = 0;
  const auto take = [&](int64_t count, int64_t item) {
    char* start = base ? base + used : nullptr;
    used += PadTo64(count * item);
    return start;
  };
  workspace->z = reinterpret_cast<float*>(take(vocab_size, 4));
  workspace->weights = reinterpret_cast<uint64_t*>(take(vocab_size, 8));
  workspace->block_mass = reinterpret_cast<uint64_t*>(take((vocab_size + kBlock - 1) / kBlock, 8));
  workspace->histogram = reinterpret_cast<uint64_t*>(take(kDigits, 8));
  workspace->masses = reinterpret_cast<uint64_t*>(take(vocab_size, 8));
  workspace->keys = reinterpret_cast<uint32_t*>(take(vocab_size, 4));
  workspace->tokens = reinterpret_cast<int32_t*>(take(vocab_size, 4));
  return used;
}

// ---- Step 1: read -----------------------------------------------------------------------------------------------

struct LoadFloat32 {
  using Item = float;
  static float Widen(float value) { return value; }
};
struct LoadFloat16 {
  using Item = uint16_t;
  static float Widen(uint16_t bits) { return WidenFloat16(bits); }
};
struct LoadBFloat16 {
  using Item = uint16_t;
  static float Widen(uint16_t bits) { return WidenBFloat16(bits); }
};

bool IsNan(float value) {
  return (BitsOfFloat(value) & 0x7fffffffu) > kInfinityBits;
}

// memcpy, because a caller's rows need not be aligned. Returns whether a NaN was seen.
template <class Load>
bool ReadRowAs(const RowView& row, float* __restrict z) {
  using Item = typename Load::Item;
  const char* source = static_cast<const char*>(row.data);
  uint32_t nan = 0;
  if (row.stride == 1) {
    for (int32_t i = 0; i < row.vocab_size; ++i) {
      Item item;
      memcpy(&item, source + int64_t{i} * int64_t{sizeof(Item)}, sizeof item);
      z[i] = Load::Widen(item);
      nan |= IsNan(z[i]);
    }
  } else {
    for (int32_t i = 0; i < row.vocab_size; ++i) {
      Item item;
      memcpy(&item, source + i * row.stride * int64_t{sizeof(Item)}, sizeof item);
      z[i] = Load::Widen(item);
      nan |= IsNan(z[i]);
    }
  }
  return nan != 0;
}

bool ReadRow(const RowView& row, float* z) {
  switch (row.dtype) {
    case DType::kFloat16:
      return ReadRowAs<LoadFloat16>(row, z);
    case DType::kBFloat16:
      return ReadRowAs<LoadBFloat16>(row, z);
    default:
      return ReadRowAs<LoadFloat32>(row, z);
  }
}

float ReadOne(const RowView& row, int32_t token) {
  RowView one = row;
  one.data = static_cast<const char*>(row.data) + token * row.stride * ItemSize(row.dtype);
  one.vocab_size = 1;
  float z;
  ReadRow(one, &z);
  return z;
}

// ---- Steps 2 to 6: adjust ---------------------------------------------------------------------------------------

void ApplyBitmask(const int32_t* bitmask, int32_t vocab_size, float* __restrict z) {
  for (int32_t i = 0; i < vocab_size; ++i) z[i] = IsAllowed(bitmask, i) ? z[i] : kNegativeInfinity;
}

void ApplyEdits(const RowInput& input, float* z) {
  for (int32_t i = 0; i < input.bias_count; ++i) {
    float& logit = z[input.bias_tokens[i]];
    logit = AddBias(logit, input.bias_values[i]);
  }
  const RowParams& p = input.params;
  if (!p.HasPenalties()) return;
  for (int32_t i = 0; i < input.history_count; ++i) {
    const HistoryEntry& entry = input.history[i];
    const uint32_t count = entry.output_count + (p.penalize_prompt ? entry.prompt_count : 0);
    float& logit = z[entry.token];
    logit = PenalizeRepetition(logit, p.repetition_penalty);
    logit = PenalizeFrequency(logit, count, p.frequency_penalty);
    logit = PenalizePresence(logit, count, p.presence_penalty);
  }
}

// Makes zeros positive. Returns the row's maximum, or NaN where there is one.
float CanonicalMax(int32_t vocab_size, float* __restrict z) {
  uint32_t best = 0;
  uint32_t nan = 0;
  for (int32_t i = 0; i < vocab_size; ++i) {
    z[i] = Canonical(z[i]);
    const uint32_t key = OrderKey(z[i]);
    best = key > best ? key : best;
    nan |= IsNan(z[i]);
  }
  const uint32_t bits = best & 0x80000000u ? best & 0x7fffffffu : ~best;
  return nan ? FloatFromBits(0x7fc00000u) : FloatFromBits(bits);
}

int32_t FirstEqual(const float* z, int32_t vocab_size, float value) {
  int32_t i = 0;
  while (i < vocab_size - 1 && z[i] != value) ++i;
  return i;
}

// ---- Steps 8 to 11: weights and cuts ----------------------------------------------------------------------------

// Weights below `min_weight` become 0. Returns the sum.
uint64_t Weigh(const float* __restrict z, int32_t vocab_size, float max, float scale, uint64_t min_weight,
               uint64_t* __restrict weights) {
  uint64_t mass = 0;
  for (int32_t i = 0; i < vocab_size; ++i) {
    const uint64_t weight = WeightOf(z[i], max, scale);
    weights[i] = weight >= min_weight ? weight : 0;
    mass += weights[i];
  }
  return mass;
}

// Radix digits of a key, most significant first.
constexpr int kDigitShift[3] = {21, 10, 0};
constexpr uint32_t kDigitMask[3] = {2047, 2047, 1023};

// Takes from `need` the buckets above the one in which it is reached; returns that bucket.
uint32_t FindDigit(const uint64_t* histogram, uint64_t* need) {
  int digit = kDigits - 1;
  while (histogram[digit] < *need) *need -= histogram[digit--];
  return static_cast<uint32_t>(digit);
}

// The end of the shortest prefix, in rank order over tokens of positive weight, whose sum of measures reaches `need`.
// The measure is 1 (top_k) or the weight (top_p). Precondition: 1 <= need <= the sum over all of them.
template <bool kByWeight>
Cut SelectPrefix(const Workspace& workspace, int32_t vocab_size, uint64_t need) {
  const float* z = workspace.z;
  const uint64_t* weights = workspace.weights;
  uint64_t* histogram = workspace.histogram;
  memset(histogram, 0, kDigits * sizeof *histogram);
  for (int32_t i = 0; i < vocab_size; ++i) {
    histogram[OrderKey(z[i]) >> kDigitShift[0]] += kByWeight ? weights[i] : weights[i] != 0;
  }
  uint32_t digit = FindDigit(histogram, &need);
  int32_t count = 0;  // tokens of that digit, in id order
  for (int32_t i = 0; i < vocab_size; ++i) {
    const uint32_t key = OrderKey(z[i]);
    workspace.keys[count] = key;
    workspace.tokens[count] = i;
    workspace.masses[count] = kByWeight ? weights[i] : 1;
    count += weights[i] != 0 && key >> kDigitShift[0] == digit;
  }
  for (int level = 1; level < 3; ++level) {
    memset(histogram, 0, kDigits * sizeof *histogram);
    for (int32_t i = 0; i < count; ++i) {
      histogram[(workspace.keys[i] >> kDigitShift[level]) & kDigitMask[level]] += workspace.masses[i];
    }
    digit = FindDigit(histogram, &need);
    int32_t left = 0;
    for (int32_t i = 0; i < count; ++i) {
      const uint32_t key = workspace.keys[i];
      workspace.keys[left] = key;
      workspace.tokens[left] = workspace.tokens[i];
      workspace.masses[left] = workspace.masses[i];
      left += ((key >> kDigitShift[level]) & kDigitMask[level]) == digit;
    }
    count = left;
  }
  // Equal logits are left: the lower id ranks first.
  int32_t i = 0;
  while (workspace.masses[i] < need) need -= workspace.masses[i++];
  return {workspace.keys[i], workspace.tokens[i]};
}

// Returns the sum of the weights left.
uint64_t ApplyCut(const Cut& cut, const float* __restrict z, int32_t vocab_size, uint64_t* __restrict weights) {
  uint64_t mass = 0;
  for (int32_t i = 0; i < vocab_size; ++i) {
    weights[i] = cut.Keeps(OrderKey(z[i]), i) ? weights[i] : 0;
    mass += weights[i];
  }
  return mass;
}

uint64_t CountPositive(const uint64_t* weights, int32_t vocab_size) {
  uint64_t count = 0;
  for (int32_t i = 0; i < vocab_size; ++i) count += weights[i] != 0;
  return count;
}

// Fills workspace.weights; returns their sum.
uint64_t WeighAndCut(const RowParams& params, int32_t vocab_size, float max, const Workspace& workspace) {
  const float scale = ScaleOf(params.temperature);
  uint64_t mass = Weigh(workspace.z, vocab_size, max, scale, MinWeight(params.min_p), workspace.weights);
  if (params.top_k > 0 && params.top_k < vocab_size) {
    const uint64_t k = static_cast<uint64_t>(params.top_k);
    if (CountPositive(workspace.weights, vocab_size) > k) {
      mass = ApplyCut(SelectPrefix<false>(workspace, vocab_size, k), workspace.z, vocab_size, workspace.weights);
    }
  }
  const uint64_t need = NeededMass(params.top_p, mass);
  if (need < mass) {
    mass = ApplyCut(SelectPrefix<true>(workspace, vocab_size, need), workspace.z, vocab_size, workspace.weights);
  }
  return mass;
}

// ---- Step 12: draw ----------------------------------------------------------------------------------------------

void SumBlocks(const uint64_t* weights, int32_t vocab_size, uint64_t* block_mass) {
  for (int32_t start = 0; start < vocab_size; start += kBlock) {
    const int32_t end = start + kBlock < vocab_size ? start + kBlock : vocab_size;
    uint64_t mass = 0;
    for (int32_t i = start; i < end; ++i) mass += weights[i];
    block_mass[start / kBlock] = mass;
  }
}

// The first token, in id order, whose running sum exceeds `target`, which is below the sum of all.
int32_t TokenAt(const uint64_t* weights, const uint64_t* block_mass, uint64_t target) {
  int32_t block = 0;
  while (block_mass[block] <= target) target -= block_mass[block++];
  int32_t token = block * kBlock;
  while (weights[token] <= target) target -= weights[token++];
  return token;
}

// ---- The row ----------------------------------------------------------------------------------------------------

void WriteBadRow(const RowInput& input, const RowOutput& output, Status status) {
  if (output.status) *output.status = status;
  if (output.mass) *output.mass = 0;
  if (output.weights) memset(output.weights, 0, sizeof(uint64_t) * static_cast<size_t>(input.logits.vocab_size));
  for (int32_t i = 0; i < input.n; ++i) {
    if (output.token_ids) output.token_ids[i] = kNoTokenId;
    if (output.logprobs) output.logprobs[i] = FloatFromBits(0x7fc00000u);
  }
  if (output.top_token_ids) TopList{}.Write({}, output);
}

void SampleRow(const RowInput& input, const RowOutput& output, void* memory) {
  Workspace workspace;
  LayOut(input.logits.vocab_size, static_cast<char*>(memory), &workspace);
  const RowParams& params = input.params;
  const int32_t vocab_size = input.logits.vocab_size;
  const bool wants_logprobs = params.logprobs != kNoLogprobs;
  const bool raw = params.logprobs_mode == LogprobsMode::kRaw;
  float* z = workspace.z;

  if (ReadRow(input.logits, z)) return WriteBadRow(input, output, Status::kNanLogits);
  LogSoftmax softmax;
  TopList top;
  if (wants_logprobs && raw) {
    softmax = Normalize(z, nullptr, vocab_size, CanonicalMax(vocab_size, z), 1.0);
    top.Fill(z, nullptr, vocab_size, softmax.max, params.logprobs);
  }

  if (input.token_bitmask) ApplyBitmask(input.token_bitmask, vocab_size, z);
  ApplyEdits(input, z);
  const float max = CanonicalMax(vocab_size, z);
  if (IsNan(max)) return WriteBadRow(input, output, Status::kNanLogits);
  if (max == kNegativeInfinity) return WriteBadRow(input, output, Status::kNoToken);

  const bool greedy = params.IsGreedy();
  int32_t token = kNoTokenId;
  uint64_t mass = kMaxWeight;
  if (greedy) {
    token = FirstEqual(z, vocab_size, max);
  } else {
    mass = WeighAndCut(params, vocab_size, max, workspace);
    if (output.token_ids) SumBlocks(workspace.weights, vocab_size, workspace.block_mass);
  }
  const uint64_t* kept = greedy ? nullptr : workspace.weights;
  if (wants_logprobs && !raw) {
    const double temperature = greedy ? 1.0 : static_cast<double>(params.temperature);
    softmax = Normalize(z, kept, vocab_size, max, temperature);
    top.Fill(z, kept, vocab_size, softmax.max, params.logprobs);
  }

  if (output.token_ids) {
    for (int32_t i = 0; i < input.n; ++i) {
      if (!greedy) {
        const uint64_t bits = DrawBits(params.seed, params.sequence_index + static_cast<uint32_t>(i), input.step);
        token = TokenAt(workspace.weights, workspace.block_mass, DrawTarget(bits, mass));
      }
      output.token_ids[i] = token;
      if (output.logprobs) {
        output.logprobs[i] = wants_logprobs ? softmax.Of(Canonical(raw ? ReadOne(input.logits, token) : z[token]))
                                            : FloatFromBits(0x7fc00000u);
      }
    }
  }
  if (output.status) *output.status = Status::kOk;
  if (output.mass) *output.mass = mass;
  if (output.weights) {
    const size_t bytes = sizeof(uint64_t) * static_cast<size_t>(vocab_size);
    if (greedy) {
      memset(output.weights, 0, bytes);
      output.weights[token] = kMaxWeight;
    } else {
      memcpy(output.weights, workspace.weights, bytes);
    }
  }
  if (output.top_token_ids) top.Write(softmax, output);
}

}  // namespace
}  // namespace nexttoken
