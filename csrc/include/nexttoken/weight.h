// Step 8 of the sampling contract: a logit's share of the probability, as a fixed-point integer.
//
// The largest logit of a row weighs exactly 2^42; every other weighs floor(2^42 * 2^t), t = (z - max) * log2(e) / T in
// float32. Integers may be summed in any order with the same result: that is why one seed draws one token on every
// device.
//
// Bounds, tested in tests/contract/test_weight.py, and for every t in tests/cpp/weights_main.cc:
//   * P(f) is within 2^-22.6 (relative) of 2^f over [-1/2, 1/2], evaluation rounding included, and P(0) = 1;
//   * f is a multiple of 2^-24 (see FractionOf), P never decreases over those 2^24 + 1 values, and P(1/2) = 2 P(-1/2):
//   so
//     the weight never decreases as t grows, the seams between integers included;
//   * a weight is within 2^-22.4 (relative) of 2^(42 + t), and truncation takes less than 1 besides: less than
//     vocab_size * 2^-42 of the largest.
#pragma once

#include <cstdint>

#include "nexttoken/host_device.h"
#include "nexttoken/views.h"

namespace nexttoken {

constexpr int kWeightBits = 42;
constexpr uint64_t kMaxWeight = uint64_t{1} << kWeightBits;

// Below this temperature the row is greedy: the highest logit, the lowest id on ties.
constexpr float kGreedyTemperature = 1e-5f;

// Temperature to the factor that turns a difference of logits into a power of two.
NEXTTOKEN_HD float ScaleOf(float temperature) {
  return static_cast<float>(1.4426950408889634074 / static_cast<double>(temperature));
}

// 2^f for f in [-1/2, 1/2]: minimax of degree 5 under P(0) = 1, found by iteratively reweighted least squares with the
// coefficients rounded to float32 one after the other. A function, because device code sees no arrays of the host.
constexpr int kExp2Degree = 5;
NEXTTOKEN_HD constexpr float Exp2Coefficient(int power) {
  return power == 5   ? 0x1.5bda58p-10f
         : power == 4 ? 0x1.3ce8aep-7f
         : power == 3 ? 0x1.c6b6d8p-5f
         : power == 2 ? 0x1.ebf9c2p-3f
         : power == 1 ? 0x1.62e42ap-1f
                      : 1.0f;
}

NEXTTOKEN_HD float Exp2Fraction(float f) {
  float q = Exp2Coefficient(kExp2Degree);
  for (int power = kExp2Degree - 1; power >= 0; --power) q = __builtin_fmaf(q, f, Exp2Coefficient(power));
  return q;
}

// t - n in [-1/2, 1/2], rounded to a multiple of 2^-24. Only t above -1/2 is finer than that, where P, evaluated in
// float32, would lose a unit in its last place here and there as t grows.
NEXTTOKEN_HD float FractionOf(float t, float n) {
  const float exact = t - n;
  return (exact - 0.5f) + 0.5f;
}

// Branch-free. The CPU kernels weigh vectors (csrc/cpu/row_weights.h) and ask here for single values. z is not NaN; max
// is the row's maximum and not -inf.
NEXTTOKEN_HD uint64_t WeightOf(float z, float max, float scale) {
  const float difference = z - max;  // NaN where both are infinite: the select below never uses it
  const float t = z == max ? 0.0f : difference * scale;
  const bool positive = t >= -static_cast<float>(kWeightBits + 1);  // false for -inf: decided before any conversion
  const float bounded = positive ? t : 0.0f;
  // rint, ties to even: adding 1.5 * 2^23 leaves no bit for a fraction.
  const float shifted = bounded + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const uint32_t bits = BitsOfFloat(Exp2Fraction(FractionOf(bounded, n)));
  // q = mantissa * 2^(exponent - 23), exponent -1 or 0; the floor of q * 2^(42 + n) by one shift to the right.
  const uint64_t mantissa = (bits & 0x7fffffu) | 0x800000u;
  const int exponent = static_cast<int>(bits >> 23) - 127;
  const int shift = -static_cast<int>(n) - exponent;  // 0 (the maximum) to 44
  const uint64_t weight = (mantissa << (kWeightBits - 23)) >> shift;
  return positive ? weight : 0;
}

}  // namespace nexttoken
