// The vector operations that the row kernel is written in, with the compiler's own vectors: the definition, and what an
// unknown processor runs (SSE2 on every x86-64). The sibling headers give the same operations for one instruction set
// each; a target_*.cc includes one of them before row_kernel.h, and nothing outside this folder uses intrinsics.
//
// Operations are lane by lane and one IEEE operation each, unless said otherwise. Everything lives in an unnamed
// namespace, because each target compiles names of its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "nexttoken/views.h"

namespace nexttoken {
namespace {

constexpr int kLanes = 4;

using Lanes = float __attribute__((vector_size(16)));
using Words = int32_t __attribute__((vector_size(16)));
using DoubleLanes = double __attribute__((vector_size(32)));

struct Floats {
  Lanes v;
};
struct Mask {
  Words v;  // all ones or all zeros a lane
};

// ---- Memory: no alignment is asked for ----------------------------------------------------------------------------

NEXTTOKEN_INLINE Floats Load(const void* from) {
  Floats x;
  memcpy(&x, from, sizeof x);
  return x;
}

NEXTTOKEN_INLINE Floats LoadBFloat16(const void* from) {
  uint16_t bits[kLanes];
  memcpy(bits, from, sizeof bits);
  return {Lanes{WidenBFloat16(bits[0]), WidenBFloat16(bits[1]), WidenBFloat16(bits[2]), WidenBFloat16(bits[3])}};
}

NEXTTOKEN_INLINE Floats LoadFloat16(const void* from) {
  uint16_t bits[kLanes];
  memcpy(bits, from, sizeof bits);
  return {Lanes{WidenFloat16(bits[0]), WidenFloat16(bits[1]), WidenFloat16(bits[2]), WidenFloat16(bits[3])}};
}

NEXTTOKEN_INLINE void Store(float* to, Floats x) {
  memcpy(to, &x, sizeof x);
}

// The lanes of the mask, one after the other; up to kLanes values may be written. Returns how many lanes there are.
NEXTTOKEN_INLINE int32_t Compress(Mask mask, Floats x, float* to) {
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = x.v[i];
    count -= mask.v[i];
  }
  return count;
}

// The same for integers from memory; `to` may be `from` or lie before it.
NEXTTOKEN_INLINE void CompressIds(Mask mask, const int32_t* from, int32_t* to) {
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = from[i];
    count -= mask.v[i];
  }
}

// The same for first, first + 1, ...
NEXTTOKEN_INLINE void CompressIds(Mask mask, int32_t first, int32_t* to) {
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = first + i;
    count -= mask.v[i];
  }
}

// ---- Masks: false where a lane is NaN, but for Unordered ----------------------------------------------------------

NEXTTOKEN_INLINE Mask AtLeast(Floats a, Floats b) {
  return {a.v >= b.v};
}
NEXTTOKEN_INLINE Mask Above(Floats a, Floats b) {
  return {a.v > b.v};
}
NEXTTOKEN_INLINE Mask Same(Floats a, Floats b) {
  return {a.v == b.v};
}
NEXTTOKEN_INLINE Mask Unordered(Floats a, Floats b) {
  return {(a.v != a.v) | (b.v != b.v)};
}
NEXTTOKEN_INLINE Mask And(Mask a, Mask b) {
  return {a.v & b.v};
}
NEXTTOKEN_INLINE Mask Or(Mask a, Mask b) {
  return {a.v | b.v};
}
NEXTTOKEN_INLINE Mask Except(Mask a, Mask b) {
  return {a.v & ~b.v};
}
// Bit i for lane i.
NEXTTOKEN_INLINE uint32_t Bits(Mask mask) {
  const Words bits = mask.v & Words{1, 2, 4, 8};
  return static_cast<uint32_t>(bits[0] | bits[1] | bits[2] | bits[3]);
}
// Bits beyond kLanes are not looked at.
NEXTTOKEN_INLINE Mask MaskOf(uint32_t bits) {
  const Words lane = {1, 2, 4, 8};
  const auto word = static_cast<int32_t>(bits);
  return {(Words{word, word, word, word} & lane) == lane};
}
NEXTTOKEN_INLINE Floats Select(Mask mask, Floats a, Floats b) {
  return {(Lanes)((mask.v & (Words)a.v) | (~mask.v & (Words)b.v))};
}
// x, and 0 beside the mask.
NEXTTOKEN_INLINE Floats Where(Mask mask, Floats x) {
  return {(Lanes)(mask.v & (Words)x.v)};
}

// ---- Arithmetic ---------------------------------------------------------------------------------------------------

NEXTTOKEN_INLINE Floats Fill(float x) {
  return {Lanes{x, x, x, x}};
}
NEXTTOKEN_INLINE Floats Add(Floats a, Floats b) {
  return {a.v + b.v};
}
NEXTTOKEN_INLINE Floats Sub(Floats a, Floats b) {
  return {a.v - b.v};
}
NEXTTOKEN_INLINE Floats Mul(Floats a, Floats b) {
  return {a.v * b.v};
}

// a * b + c rounded once, for the operands of weight.h's polynomial: there a double, which holds the product exactly,
// never comes to lie where rounding it again would matter. tests/cpp/weights_main.cc tries every fraction.
NEXTTOKEN_INLINE Floats MulAdd(Floats a, Floats b, Floats c) {
  const DoubleLanes product = __builtin_convertvector(a.v, DoubleLanes) * __builtin_convertvector(b.v, DoubleLanes);
  const DoubleLanes sum = product + __builtin_convertvector(c.v, DoubleLanes);
  return {__builtin_convertvector(sum, Lanes)};
}

// Where a lane of either is NaN the result is either.
NEXTTOKEN_INLINE Floats Max(Floats a, Floats b) {
  return Select(Above(a, b), a, b);
}
NEXTTOKEN_INLINE Floats Min(Floats a, Floats b) {
  return Select(Above(b, a), a, b);
}

// To the nearest integer, ties to even, for |x| < 2^22; anything beyond.
NEXTTOKEN_INLINE Floats Round(Floats x) {
  return {(x.v + 12582912.0f) - 12582912.0f};
}

// x * 2^n for an integer n in [-64, 64] and a result that is normal; anything beyond.
NEXTTOKEN_INLINE Floats TimesPowerOfTwo(Floats x, Floats n) {
  using Unsigned = uint32_t __attribute__((vector_size(16)));
  return {(Lanes)((Unsigned)x.v + ((Unsigned)(n.v + 12582912.0f) << 23))};
}

NEXTTOKEN_INLINE float LargestLane(Floats x) {
  float largest = x.v[0];
  for (int i = 1; i < kLanes; ++i) largest = x.v[i] > largest ? x.v[i] : largest;
  return largest;
}
NEXTTOKEN_INLINE float SmallestLane(Floats x) {
  float smallest = x.v[0];
  for (int i = 1; i < kLanes; ++i) smallest = x.v[i] < smallest ? x.v[i] : smallest;
  return smallest;
}

// In double, in any order.
NEXTTOKEN_INLINE double SumOfLanes(Floats x) {
  double sum = 0.0;
  for (int i = 0; i < kLanes; ++i) sum += static_cast<double>(x.v[i]);
  return sum;
}

// ---- Exact sums of floor(x), x in [0, 2^43) -----------------------------------------------------------------------

// From 2^23 on a float32 is an integer.
NEXTTOKEN_INLINE Lanes Floor(Floats x) {
  const Mask whole = AtLeast(x, Fill(0x1p23f));
  const Words small = __builtin_convertvector(Select(whole, Fill(0.0f), x).v, Words);
  return Select(whole, x, {__builtin_convertvector(small, Lanes)}).v;
}

// Any number of values whose sum is below 2^53: sums of such integers are exact in double, in any order.
struct WideSum {
  DoubleLanes lanes = {};
};
NEXTTOKEN_INLINE void AddFloor(WideSum* sum, Floats x) {
  sum->lanes += __builtin_convertvector(Floor(x), DoubleLanes);
}
NEXTTOKEN_INLINE uint64_t Total(const WideSum& sum) {
  return static_cast<uint64_t>(sum.lanes[0] + sum.lanes[1] + sum.lanes[2] + sum.lanes[3]);
}

// Values below 2^31, and a sum in each lane below 2^32.
struct NarrowSum {
  Words lanes = {};
};
NEXTTOKEN_INLINE void AddFloor(NarrowSum* sum, Floats x) {
  using Unsigned = uint32_t __attribute__((vector_size(16)));
  sum->lanes = (Words)((Unsigned)sum->lanes + (Unsigned) __builtin_convertvector(x.v, Words));
}
NEXTTOKEN_INLINE uint64_t Total(const NarrowSum& sum) {
  uint64_t total = 0;
  for (int i = 0; i < kLanes; ++i) total += static_cast<uint32_t>(sum.lanes[i]);
  return total;
}

// To `all` every lane, to `some` those of the mask.
NEXTTOKEN_INLINE void AddFloor(WideSum* all, WideSum* some, Mask mask, Floats x) {
  AddFloor(all, x);
  AddFloor(some, Where(mask, x));
}

// floor(x) of each lane.
NEXTTOKEN_INLINE void StoreFloor(Floats x, uint64_t* to) {
  for (int i = 0; i < kLanes; ++i) to[i] = static_cast<uint64_t>(static_cast<int64_t>(x.v[i]));
}

}  // namespace
}  // namespace nexttoken
