// The sampling contract once more, in plain C++ that shares no arithmetic with the library: sorting, __int128, libm.
//
// Slow and obvious. It takes a row's raw history, so the library's own sparse counting is tested too.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "nexttoken/sample.h"

namespace naive {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Row {
  nexttoken::Status status = nexttoken::Status::kOk;
  std::vector<int32_t> token_ids;
  std::vector<uint64_t> weights;
  uint64_t mass = 0;
  std::vector<double> logprobs;
  std::vector<std::pair<int32_t, double>> top;
};

inline float Widen(const char* item, nexttoken::DType dtype) {
  float value;
  if (dtype == nexttoken::DType::kFloat32) {
    std::memcpy(&value, item, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, item, 2);
  if (dtype == nexttoken::DType::kBFloat16) {
    const uint32_t wide = static_cast<uint32_t>(bits) * 65536u;
    std::memcpy(&value, &wide, 4);
    return value;
  }
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  if (exponent == 31) {
    value = fraction ? std::numeric_limits<float>::quiet_NaN() : kInfinity;
  } else {
    value = std::ldexp(static_cast<float>(exponent ? 1024 + fraction : fraction), std::max(exponent, 1) - 25);
  }
  return bits & 0x8000 ? -value : value;
}

inline uint64_t UniformBits(uint64_t seed, uint32_t sequence_index, uint64_t step) {
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  uint32_t c0 = static_cast<uint32_t>(step), c1 = static_cast<uint32_t>(step >> 32), c2 = sequence_index, c3 = 0;
  for (int round = 1; round <= 10; ++round) {
    const uint64_t left = 0xD2511F53ull * c0, right = 0xCD9E8D57ull * c2;
    c0 = static_cast<uint32_t>(right >> 32) ^ c1 ^ key0;
    c2 = static_cast<uint32_t>(left >> 32) ^ c3 ^ key1;
    c1 = static_cast<uint32_t>(right);
    c3 = static_cast<uint32_t>(left);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return static_cast<uint64_t>(c1) << 32 | c0;
}

// ceil(fraction * mass), one bit at a time.
inline uint64_t CeilShare(double fraction, uint64_t mass) {
  int exponent;
  const double mantissa = std::frexp(fraction, &exponent);  // in [1/2, 1)
  unsigned __int128 product = static_cast<unsigned __int128>(std::ldexp(mantissa, 53)) * mass;
  bool lost = false;
  for (int shift = 53 - exponent; shift > 0 && product; --shift) {
    lost = lost || (product & 1);
    product >>= 1;
  }
  return static_cast<uint64_t>(product) + (lost ? 1 : 0);
}

inline std::vector<float> Adjust(const nexttoken::RowInput& in, std::vector<float> z,
                                 const std::vector<int32_t>& prompt, const std::vector<int32_t>& output) {
  for (size_t i = 0; in.token_bitmask && i < z.size(); ++i) {
    const auto word = static_cast<uint32_t>(in.token_bitmask[i / 32]);
    if ((word >> (i % 32) & 1) == 0) z[i] = -kInfinity;
  }
  for (int i = 0; i < in.bias_count; ++i) {
    float& logit = z[static_cast<size_t>(in.bias_tokens[i])];
    logit = std::isinf(in.bias_values[i]) ? -kInfinity : logit + in.bias_values[i];
  }
  std::map<int32_t, uint32_t> counts;
  for (const int32_t token : prompt) counts[token] += in.params.penalize_prompt ? 1 : 0;
  for (const int32_t token : output) counts[token] += 1;
  for (const auto& [token, count] : counts) {
    float& logit = z[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / in.params.repetition_penalty : logit * in.params.repetition_penalty;
    const float product = static_cast<float>(count) * in.params.frequency_penalty;
    logit = logit - product;
    if (count) logit = logit - in.params.presence_penalty;
  }
  return z;
}

inline uint64_t Weigh(float z, float max, float temperature) {
  const float scale = static_cast<float>(1.4426950408889634 / static_cast<double>(temperature));
  if (z == -kInfinity) return 0;
  const float difference = z - max;
  const float t = z == max ? 0.0f : difference * scale;
  if (!(t >= -43.0f)) return 0;
  const float n = std::nearbyint(t);
  const float f = std::nearbyint((t - n) * 0x1p24f) * 0x1p-24f;  // all three exact but the rounding
  float q = 0.0013269535265862942f;
  for (const float c : {0.009671292267739773f, 0.0555071085691452f, 0.24022246897220612f, 0.6931470036506653f, 1.0f}) {
    q = std::fma(q, f, c);
  }
  return static_cast<uint64_t>(std::ldexp(static_cast<double>(q), 42 + static_cast<int>(n)));
}

inline std::vector<double> LogSoftmax(const std::vector<float>& z, double temperature, const std::vector<bool>& among) {
  const float max = *std::max_element(z.begin(), z.end());
  std::vector<double> shown(z.size(), -HUGE_VAL);
  long double sum = 0;
  for (size_t i = 0; i < z.size(); ++i) {
    if (!among[i]) continue;
    shown[i] = z[i] == max ? 0.0 : (static_cast<double>(z[i]) - static_cast<double>(max)) / temperature;
    sum += std::exp(static_cast<long double>(shown[i]));
  }
  for (double& value : shown) value -= static_cast<double>(std::log(sum));
  return shown;
}

inline Row Sample(const nexttoken::RowInput& in, const std::vector<int32_t>& prompt,
                  const std::vector<int32_t>& output) {
  const auto& p = in.params;
  const auto vocab = static_cast<size_t>(in.logits.vocab_size);
  const int64_t item = in.logits.dtype == nexttoken::DType::kFloat32 ? 4 : 2;
  Row row;
  row.weights.assign(vocab, 0);
  row.token_ids.assign(static_cast<size_t>(in.n), -1);
  row.logprobs.assign(static_cast<size_t>(in.n), std::nan(""));
  std::vector<float> read(vocab);
  for (size_t i = 0; i < vocab; ++i) {
    const char* data = static_cast<const char*>(in.logits.data);
    read[i] = Widen(data + static_cast<int64_t>(i) * in.logits.stride * item, in.logits.dtype);
  }
  const std::vector<float> z = Adjust(in, read, prompt, output);
  const auto is_nan = [](float value) { return value != value; };
  if (std::any_of(read.begin(), read.end(), is_nan) || std::any_of(z.begin(), z.end(), is_nan)) {
    row.status = nexttoken::Status::kNanLogits;
    return row;
  }
  const float max = *std::max_element(z.begin(), z.end());
  if (max == -kInfinity) {
    row.status = nexttoken::Status::kNoToken;
    return row;
  }

  std::vector<size_t> ranked(vocab);
  for (size_t i = 0; i < vocab; ++i) ranked[i] = i;
  std::stable_sort(ranked.begin(), ranked.end(), [&](size_t a, size_t b) { return z[a] > z[b]; });
  const bool greedy = p.temperature < 1e-5f;
  if (greedy) {
    row.weights[ranked[0]] = uint64_t{1} << 42;
  } else {
    const uint64_t least = CeilShare(p.min_p, uint64_t{1} << 42);
    std::vector<size_t> kept;
    for (const size_t i : ranked) {
      const uint64_t weight = Weigh(z[i], max, p.temperature);
      if (weight == 0 || weight < least) continue;
      if (p.top_k > 0 && kept.size() == static_cast<size_t>(p.top_k)) break;
      kept.push_back(i);
      row.weights[i] = weight;
    }
    uint64_t mass = 0;
    for (const size_t i : kept) mass += row.weights[i];
    const uint64_t need = std::max<uint64_t>(1, CeilShare(p.top_p, mass));
    uint64_t running = 0;
    for (const size_t i : kept) {
      if (running >= need) row.weights[i] = 0;
      running += row.weights[i];
    }
  }
  for (const uint64_t weight : row.weights) row.mass += weight;
  for (int i = 0; i < in.n; ++i) {
    const uint64_t bits = UniformBits(p.seed, p.sequence_index + static_cast<uint32_t>(i), in.step);
    const auto target = static_cast<uint64_t>(static_cast<unsigned __int128>(bits) * row.mass >> 64);
    uint64_t running = 0;
    size_t token = 0;
    while ((running += row.weights[token]) <= target) ++token;
    row.token_ids[static_cast<size_t>(i)] = static_cast<int32_t>(token);
  }

  const bool raw = p.logprobs_mode == nexttoken::LogprobsMode::kRaw;
  const std::vector<float>& basis = raw ? read : z;
  std::vector<bool> among(vocab);
  for (size_t i = 0; i < vocab; ++i) among[i] = raw || greedy ? basis[i] > -kInfinity : row.weights[i] > 0;
  const bool unscaled = raw || greedy;
  const std::vector<double> shown = LogSoftmax(basis, unscaled ? 1.0 : static_cast<double>(p.temperature), among);
  for (size_t i = 0; i < row.token_ids.size(); ++i) {
    row.logprobs[i] = shown[static_cast<size_t>(row.token_ids[i])];
  }
  for (size_t i = 0; i < vocab; ++i) ranked[i] = i;
  std::stable_sort(ranked.begin(), ranked.end(), [&](size_t a, size_t b) { return basis[a] > basis[b]; });
  for (const size_t i : ranked) {
    if (shown[i] > -HUGE_VAL && static_cast<int>(row.top.size()) < p.logprobs) {
      row.top.emplace_back(static_cast<int32_t>(i), shown[i]);
    }
  }
  return row;
}

}  // namespace naive
