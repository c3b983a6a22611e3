// Step 13 of the sampling contract, for the row kernel: logprobs and the best tokens. Part of row_kernel.h, and
// compiled once per instruction set as that is.
//
// In double; they never decide a token, so the order of these sums is free.
#pragma once

#include <cstdint>

#include "nexttoken/adjust.h"
#include "nexttoken/sample.h"

namespace nexttoken {
namespace {

constexpr uint32_t kInfinityBits = 0x7f800000u;

struct LogSoftmax {
  float max = 0.0f;
  double temperature = 1.0;
  double log_sum = 0.0;

  // The exponent of z relative to the maximum; 0 also where both are +inf.
  double Exponent(float z) const {
    return z == max ? 0.0 : (static_cast<double>(z) - static_cast<double>(max)) / temperature;
  }
  float Of(float z) const { return static_cast<float>(Exponent(z) - log_sum); }
};

// Over the tokens whose weight is positive, or over all where `weights` is null.
LogSoftmax Normalize(const float* z, const uint64_t* weights, int32_t vocab_size, float max, double temperature) {
  LogSoftmax softmax{max, temperature, 0.0};
  double sum = 0.0;
  for (int32_t i = 0; i < vocab_size; ++i) {
    if (!weights || weights[i]) sum += __builtin_exp(softmax.Exponent(z[i]));
  }
  softmax.log_sum = __builtin_log(sum);
  return softmax;
}

// The best tokens by (logit descending, id ascending); those of probability 0 are never among them.
struct TopList {
  int32_t count = 0;
  int32_t tokens[kMaxTopLogprobs];
  float logits[kMaxTopLogprobs];

  void Fill(const float* z, const uint64_t* weights, int32_t vocab_size, float max, int32_t capacity) {
    count = 0;
    if (capacity <= 0) return;
    // Beside a +inf every finite logit has probability 0.
    const float impossible =
        max > FloatFromBits(kInfinityBits - 1) ? FloatFromBits(kInfinityBits - 1) : kNegativeInfinity;
    for (int32_t i = 0; i < vocab_size; ++i) {
      if (count == capacity && !(z[i] > logits[count - 1])) continue;
      if (!(z[i] > impossible) || (weights && !weights[i])) continue;
      if (count < capacity) ++count;
      int32_t place = count - 1;
      for (; place > 0 && z[i] > logits[place - 1]; --place) {
        logits[place] = logits[place - 1];
        tokens[place] = tokens[place - 1];
      }
      logits[place] = z[i];
      tokens[place] = i;
    }
  }

  void Write(const LogSoftmax& softmax, const RowOutput& output) const {
    for (int32_t i = 0; i < output.top_capacity; ++i) {
      output.top_token_ids[i] = i < count ? tokens[i] : kNoTokenId;
      output.top_logprobs[i] = i < count ? softmax.Of(logits[i]) : kNegativeInfinity;
    }
  }
};

}  // namespace
}  // namespace nexttoken
