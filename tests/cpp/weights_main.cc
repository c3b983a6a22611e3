// Every float32 t from -43.5 to the smallest normal differences: weight.h's promises about the weight, one by one.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "nexttoken/weight.h"

namespace {

using namespace nexttoken;

void Require(bool condition, const char* what, float t) {
  if (condition) return;
  std::fprintf(stderr, "%s at t = %a\n", what, static_cast<double>(t));
  std::abort();
}

uint64_t Weight(float t) {
  return WeightOf(t, 0.0f, 1.0f);
}

// P by double arithmetic, as a processor without fused multiply-add evaluates it (csrc/cpu/simd/portable.h).
float Exp2FractionInDouble(float f) {
  float q = Exp2Coefficient(kExp2Degree);
  for (int power = kExp2Degree - 1; power >= 0; --power) {
    q = static_cast<float>(static_cast<double>(q) * static_cast<double>(f) +
                           static_cast<double>(Exp2Coefficient(power)));
  }
  return q;
}

}  // namespace

int main() {
  for (int32_t i = -(1 << 23); i <= 1 << 23; ++i) {
    const float f = static_cast<float>(i) * 0x1p-24f;
    Require(Exp2FractionInDouble(f) == Exp2Fraction(f), "P must need no fused multiply-add", f);
  }
  const double bound = std::exp2(-22.4);
  uint64_t least = kMaxWeight;  // of all nearer to the maximum
  Require(Weight(0.0f) == kMaxWeight, "the maximum must weigh 2^42", 0.0f);
  for (uint32_t bits = 0x00800000u; bits <= BitsOfFloat(43.5f); ++bits) {
    const float t = -FloatFromBits(bits);
    const uint64_t weight = Weight(t);
    Require(weight <= least, "the weight must not decrease", t);
    least = weight;
    if (bits < BitsOfFloat(0x1p-30f)) {
      Require(weight == kMaxWeight, "a tiny difference must weigh as none", t);
      bits += 4096;  // all the same: a sample will do
      continue;
    }
    const double exact = std::exp2(static_cast<double>(t) + kWeightBits);
    Require(std::fabs(static_cast<double>(weight) - exact) <= bound * exact + 1.0, "the weight is out of bounds", t);
  }
  return 0;
}
