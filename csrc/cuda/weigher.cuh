// Step 8 of the sampling contract in full-rate float32 operations: what WeightOf (weight.h) gives, as two halves.
#pragma once

#include <cstdint>

#include "device.cuh"
#include "nexttoken/weight.h"

namespace nexttoken {

// weight = high << 21 | low, high <= 2^21, low < 2^21: sums of some hundred halves fit into 32 bits.
constexpr int kHalfBits = kWeightBits / 2;
struct WeightHalves {
  uint32_t high;
  uint32_t low;
};

__device__ __forceinline__ uint64_t Joined(WeightHalves halves) {
  return (uint64_t{halves.high} << kHalfBits) + halves.low;
}

// A sum of a lane's weights. Their halves come as float32 bits that are a constant too large: it is taken off once.
struct WeightSum {
  WeightHalves biased = {0, 0};
  uint32_t count = 0;

  __device__ __forceinline__ void Add(WeightHalves with_bias) {
    biased.high += with_bias.high;
    biased.low += with_bias.low;
    ++count;
  }
  __device__ __forceinline__ WeightHalves Halves() const {
    return {biased.high - count * kHighBias, biased.low - count * kLowBias};
  }
  static constexpr uint32_t kHighBias = 0x40800000u;  // 4, whose last place is 2^-21
  static constexpr uint32_t kLowBias = 0x36000000u;   // 2^-19, whose last place is 2^-42
};

struct Weigher {
  float max;
  float scale;

  // z is finite or -inf; max is finite.
  __device__ __forceinline__ WeightHalves BiasedHalves(float z) const {
    // Below -(42 + 1) every weight is 0, and stays 0 when the exponent is held at -50, where nothing is subnormal.
    const float t = fmaxf((z - max) * scale, -50.0f);
    const float shifted = t + 12582912.0f;  // rint, ties to even; the low bits are the integer
    const float n = shifted - 12582912.0f;
    const float q = Exp2Fraction(FractionOf(t, n));
    const float value = FloatFromBits(BitsOfFloat(q) + (BitsOfFloat(shifted) << 23));  // q * 2^n
    // Adding 4, rounding down, is floor(value * 2^21) in the last bits; the rest is exact.
    const float upper = __fadd_rd(value, 4.0f);
    const float rest = value - (upper - 4.0f);
    const float lower = __fadd_rd(rest, 0x1p-19f);
    return {BitsOfFloat(upper), BitsOfFloat(lower)};
  }

  __device__ __forceinline__ uint64_t operator()(float z) const {
    WeightSum one;
    one.Add(BiasedHalves(z));
    return Joined(one.Halves());
  }
};

}  // namespace nexttoken
