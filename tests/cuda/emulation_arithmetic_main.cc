// The arithmetic intrinsics that are more than a word for an operator.
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "emulation/block.h"

namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

uint32_t Next(uint32_t& state) {
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

// The processor's own rounding, where no compiler can move it.
__attribute__((noinline)) float AddDownward(float a, float b) {
  volatile float x = a;
  volatile float y = b;
  std::fesetround(FE_DOWNWARD);
  volatile float sum = x + y;
  std::fesetround(FE_TONEAREST);
  return sum;
}

void TestAddDownward() {
  uint32_t state = 5;
  for (int i = 0; i < 2000000; ++i) {
    const float a = __uint_as_float(Next(state));
    uint32_t bits = Next(state);
    // Random exponents are mostly far apart: bring some together.
    if (i % 4 != 0)
      bits = (bits & 0x807fffffu) | ((__float_as_uint(a) + ((bits >> 3) % 64 - 32) * 0x800000u) & 0x7f800000u);
    if (i % 64 == 1) bits = __float_as_uint(a) ^ 0x80000000u;
    const float b = __uint_as_float(bits);
    const float sum = __fadd_rd(a, b);
    const float expected = AddDownward(a, b);
    Require(std::isnan(expected) ? std::isnan(sum) : __float_as_uint(sum) == __float_as_uint(expected), "__fadd_rd");
  }
  Require(__float_as_uint(__fadd_rd(0.0f, 0.0f)) == 0 && __float_as_uint(__fadd_rd(0.0f, -0.0f)) == 0x80000000u,
          "zeros");
  Require(__fadd_rd(3e38f, 3e38f) == std::numeric_limits<float>::max(), "__fadd_rd beyond the largest");
}

void TestIntrinsics() {
  Require(__popc(0xf0f0u) == 8 && __popcll(~0ull) == 64 && __ffs(0) == 0 && __ffs(12) == 3, "bits");
  Require(__clz(0) == 32 && __clz(1) == 31 && __clz(-1) == 0 && __clzll(0) == 64 && __clzll(1) == 63, "leading zeros");
  Require(__umulhi(0xffffffffu, 0xffffffffu) == 0xfffffffeu && __umul64hi(~0ull, ~0ull) == ~0ull - 1, "high halves");
  Require(__fmaf_rn(1 + 0x1p-23f, 1 - 0x1p-23f, -1) == -0x1p-46f, "fused");
}

}  // namespace

int main() {
  TestAddDownward();
  TestIntrinsics();
  std::printf("ok\n");
}
