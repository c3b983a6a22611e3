// CUDA's arithmetic intrinsics, with its results for every operand.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}

inline int __popcll(unsigned long long x) {
  return __builtin_popcountll(x);
}

inline int __ffs(int x) {
  return __builtin_ffs(x);
}

inline int __ffsll(long long x) {
  return __builtin_ffsll(x);
}

inline int __clz(int x) {
  return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}

inline int __clzll(long long x) {
  return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}

inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((uint64_t{a} * b) >> 32);
}

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}

inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline int __float_as_int(float x) {
  int bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline float __int_as_float(int bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

inline float __fadd_rn(float a, float b) {
  return a + b;
}

inline float __fmul_rn(float a, float b) {
  return a * b;
}

inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}

// The largest float32 that is not above a + b. Computed, not asked of the processor: compilers move additions across
// changes of its rounding mode.
inline float __fadd_rd(float a, float b) {
  if (!std::isfinite(a) || !std::isfinite(b)) return a + b;
  // As float64 the sum neither overflows nor underflows, and what its rounding left out is itself a float64.
  const double wide_a = a;
  const double wide_b = b;
  const double sum = wide_a + wide_b;
  const double part_b = sum - wide_a;
  const double left_out = (wide_a - (sum - part_b)) + (wide_b - part_b);
  // A sum that is exactly zero is -0, but for two positive zeros.
  if (sum == 0) return std::signbit(a) || std::signbit(b) ? -0.0f : 0.0f;
  const float nearest = static_cast<float>(sum);
  const bool above = nearest > sum || (nearest == sum && left_out < 0);
  return above ? std::nextafter(nearest, -std::numeric_limits<float>::infinity()) : nearest;
}
