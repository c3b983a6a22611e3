// The vector operations that the row kernel is written in, in plain C++: the definition, and what an unknown processor
// runs. The sibling headers give the same operations for one instruction set each; a target_*.cc includes one of them
// before row_kernel.h, and nothing outside this folder uses intrinsics.
//
// Operations are lane by lane and one IEEE operation each, unless said otherwise. Everything lives in an unnamed
// namespace, because each target compiles names of its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "nexttoken/views.h"

namespace nexttoken {
namespace {

constexpr int kLanes = 8;

struct Floats {
  float lane[kLanes];
};

// One bit a lane.
struct Mask {
  uint32_t bits;
};

template <class F>
NEXTTOKEN_INLINE Floats EachLane(F f) {
  Floats result;
  for (int i = 0; i < kLanes; ++i) result.lane[i] = f(i);
  return result;
}

template <class F>
NEXTTOKEN_INLINE Mask EachBit(F f) {
  uint32_t bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= static_cast<uint32_t>(f(i)) << i;
  return {bits};
}

// ---- Memory: no alignment is asked for ----------------------------------------------------------------------------

NEXTTOKEN_INLINE Floats Load(const void* from) {
  Floats x;
  memcpy(&x, from, sizeof x);
  return x;
}

NEXTTOKEN_INLINE Floats LoadBFloat16(const void* from) {
  uint16_t bits[kLanes];
  memcpy(bits, from, sizeof bits);
  return EachLane([&](int i) { return WidenBFloat16(bits[i]); });
}

NEXTTOKEN_INLINE Floats LoadFloat16(const void* from) {
  uint16_t bits[kLanes];
  memcpy(bits, from, sizeof bits);
  return EachLane([&](int i) { return WidenFloat16(bits[i]); });
}

NEXTTOKEN_INLINE void Store(float* to, Floats x) {
  memcpy(to, &x, sizeof x);
}

// The lanes of the mask, one after the other; up to kLanes values may be written. Returns how many lanes there are.
NEXTTOKEN_INLINE int32_t Compress(Mask mask, Floats x, float* to) {
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = x.lane[i];
    count += (mask.bits >> i) & 1;
  }
  return count;
}

// The same for integers from memory; `to` may be `from` or lie before it.
NEXTTOKEN_INLINE void CompressIds(Mask mask, const int32_t* from, int32_t* to) {
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = from[i];
    count += (mask.bits >> i) & 1;
  }
}

// The same for first, first + 1, ...
NEXTTOKEN_INLINE void CompressIds(Mask mask, int32_t first, int32_t* to) {
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = first + i;
    count += (mask.bits >> i) & 1;
  }
}

// ---- Arithmetic ---------------------------------------------------------------------------------------------------

NEXTTOKEN_INLINE Floats Fill(float x) {
  return EachLane([&](int) { return x; });
}
NEXTTOKEN_INLINE Floats Add(Floats a, Floats b) {
  return EachLane([&](int i) { return a.lane[i] + b.lane[i]; });
}
NEXTTOKEN_INLINE Floats Sub(Floats a, Floats b) {
  return EachLane([&](int i) { return a.lane[i] - b.lane[i]; });
}
NEXTTOKEN_INLINE Floats Mul(Floats a, Floats b) {
  return EachLane([&](int i) { return a.lane[i] * b.lane[i]; });
}

// a * b + c rounded once, for the operands of weight.h's polynomial: there a double, which holds the product exactly,
// never comes to lie where rounding it again would matter. tests/cpp/weights_main.cc tries every fraction.
NEXTTOKEN_INLINE Floats MulAdd(Floats a, Floats b, Floats c) {
  return EachLane([&](int i) {
    return static_cast<float>(static_cast<double>(a.lane[i]) * static_cast<double>(b.lane[i]) +
                              static_cast<double>(c.lane[i]));
  });
}

// Where a lane of either is NaN the result is either.
NEXTTOKEN_INLINE Floats Max(Floats a, Floats b) {
  return EachLane([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
NEXTTOKEN_INLINE Floats Min(Floats a, Floats b) {
  return EachLane([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}

// To the nearest integer, ties to even, for |x| < 2^22; anything beyond.
NEXTTOKEN_INLINE Floats Round(Floats x) {
  return EachLane([&](int i) { return (x.lane[i] + 12582912.0f) - 12582912.0f; });
}

// x * 2^n for an integer n in [-64, 64] and a result that is normal; anything beyond.
NEXTTOKEN_INLINE Floats TimesPowerOfTwo(Floats x, Floats n) {
  return EachLane([&](int i) {
    return FloatFromBits(BitsOfFloat(x.lane[i]) + (BitsOfFloat(n.lane[i] + 12582912.0f) << 23));
  });
}

NEXTTOKEN_INLINE float LargestLane(Floats x) {
  float largest = x.lane[0];
  for (int i = 1; i < kLanes; ++i) largest = x.lane[i] > largest ? x.lane[i] : largest;
  return largest;
}
NEXTTOKEN_INLINE float SmallestLane(Floats x) {
  float smallest = x.lane[0];
  for (int i = 1; i < kLanes; ++i) smallest = x.lane[i] < smallest ? x.lane[i] : smallest;
  return smallest;
}

// In double, in any order.
NEXTTOKEN_INLINE double SumOfLanes(Floats x) {
  double sum = 0.0;
  for (int i = 0; i < kLanes; ++i) sum += static_cast<double>(x.lane[i]);
  return sum;
}

// ---- Masks: false where a lane is NaN, but for Unordered ----------------------------------------------------------

NEXTTOKEN_INLINE Mask AtLeast(Floats a, Floats b) {
  return EachBit([&](int i) { return a.lane[i] >= b.lane[i]; });
}
NEXTTOKEN_INLINE Mask Above(Floats a, Floats b) {
  return EachBit([&](int i) { return a.lane[i] > b.lane[i]; });
}
NEXTTOKEN_INLINE Mask Same(Floats a, Floats b) {
  return EachBit([&](int i) { return a.lane[i] == b.lane[i]; });
}
NEXTTOKEN_INLINE Mask Unordered(Floats a, Floats b) {
  return EachBit([&](int i) { return __builtin_isunordered(a.lane[i], b.lane[i]) != 0; });
}
NEXTTOKEN_INLINE Mask And(Mask a, Mask b) {
  return {a.bits & b.bits};
}
NEXTTOKEN_INLINE Mask Or(Mask a, Mask b) {
  return {a.bits | b.bits};
}
NEXTTOKEN_INLINE Mask Except(Mask a, Mask b) {
  return {a.bits & ~b.bits};
}
NEXTTOKEN_INLINE uint32_t Bits(Mask mask) {
  return mask.bits;
}
// Bits beyond kLanes are not looked at.
NEXTTOKEN_INLINE Mask MaskOf(uint32_t bits) {
  return {bits & ((1u << kLanes) - 1)};
}
NEXTTOKEN_INLINE Floats Select(Mask mask, Floats a, Floats b) {
  return EachLane([&](int i) { return (mask.bits >> i) & 1 ? a.lane[i] : b.lane[i]; });
}

// x, and 0 beside the mask.
NEXTTOKEN_INLINE Floats Where(Mask mask, Floats x) {
  return Select(mask, x, Fill(0.0f));
}

// ---- Exact sums of floor(x), x in [0, 2^43) -----------------------------------------------------------------------

// Any number of values whose sum is below 2^53.
struct WideSum {
  uint64_t lane[kLanes] = {};
};
NEXTTOKEN_INLINE void AddFloor(WideSum* sum, Floats x) {
  for (int i = 0; i < kLanes; ++i) sum->lane[i] += static_cast<uint64_t>(static_cast<int64_t>(x.lane[i]));
}
NEXTTOKEN_INLINE uint64_t Total(const WideSum& sum) {
  uint64_t total = 0;
  for (int i = 0; i < kLanes; ++i) total += sum.lane[i];
  return total;
}

// Values below 2^31, and a sum in each lane below 2^32.
struct NarrowSum {
  uint32_t lane[kLanes] = {};
};
NEXTTOKEN_INLINE void AddFloor(NarrowSum* sum, Floats x) {
  for (int i = 0; i < kLanes; ++i) sum->lane[i] += static_cast<uint32_t>(static_cast<int32_t>(x.lane[i]));
}
NEXTTOKEN_INLINE uint64_t Total(const NarrowSum& sum) {
  uint64_t total = 0;
  for (int i = 0; i < kLanes; ++i) total += sum.lane[i];
  return total;
}

// To `all` every lane, to `some` those of the mask.
NEXTTOKEN_INLINE void AddFloor(WideSum* all, WideSum* some, Mask mask, Floats x) {
  AddFloor(all, x);
  AddFloor(some, Where(mask, x));
}

// floor(x) of each lane.
NEXTTOKEN_INLINE void StoreFloor(Floats x, uint64_t* to) {
  for (int i = 0; i < kLanes; ++i) to[i] = static_cast<uint64_t>(static_cast<int64_t>(x.lane[i]));
}

}  // namespace
}  // namespace nexttoken
