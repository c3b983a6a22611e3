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

}  // namespace

int main() {
  const double bound = std::exp2(-22.6);
  uint64_t least = kMaxWeight;  // of all nearer to the maximum
  long lowered = 0;
  Require(Weight(0.0f) == kMaxWeight, "the maximum must weigh 2^42", 0.0f);
  for (uint32_t bits = 0x00800000u; bits <= BitsOfFloat(43.5f); ++bits) {
    const float t = -FloatFromBits(bits);
    const uint64_t weight = Weight(t);
    if (weight > least) {
      // Finer than the grid of 2^-24: one unit in the last place of P.
      Require(t > -0.5f && weight - least <= uint64_t{1} << 18, "the weight must not decrease", t);
      ++lowered;
    } else {
      least = weight;
    }
    if (bits < BitsOfFloat(0x1p-30f)) {
      Require(weight == kMaxWeight, "a tiny difference must weigh as none", t);
      bits += 4096;  // all the same: a sample will do
      continue;
    }
    const double exact = std::exp2(static_cast<double>(t) + kWeightBits);
    Require(std::fabs(static_cast<double>(weight) - exact) <= bound * exact + 1.0, "the weight is out of bounds", t);
  }
  std::printf("%ld weights above one nearer to the maximum, by at most 2^18\n", lowered);
  return 0;
}
