// The operations of simd/portable.h, where their contract stands, for AVX2 with FMA and F16C.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "nexttoken/host_device.h"

namespace nexttoken {
namespace {

constexpr int kLanes = 8;

struct Floats {
  __m256 v;
};
struct Mask {
  __m256 v;  // all ones or all zeros a lane
};

NEXTTOKEN_INLINE Floats Load(const void* from) {
  return {_mm256_loadu_ps(static_cast<const float*>(from))};
}
NEXTTOKEN_INLINE Floats LoadBFloat16(const void* from) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(from)));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
}
NEXTTOKEN_INLINE Floats LoadFloat16(const void* from) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(from)))};
}
NEXTTOKEN_INLINE void Store(float* to, Floats x) {
  _mm256_storeu_ps(to, x.v);
}

NEXTTOKEN_INLINE uint32_t Bits(Mask mask) {
  return static_cast<uint32_t>(_mm256_movemask_ps(mask.v));
}

// For each mask the numbers of its lanes, first to last, a byte each. From a table, because the instructions that would
// make them are slow on some processors.
struct CompressingOrders {
  uint64_t of[256];
  constexpr CompressingOrders() : of() {
    for (int bits = 0; bits < 256; ++bits) {
      int place = 0;
      for (int lane = 0; lane < kLanes; ++lane) {
        if (bits >> lane & 1) of[bits] |= static_cast<uint64_t>(lane) << 8 * place++;
      }
    }
  }
};
constexpr CompressingOrders kCompressingOrders;

NEXTTOKEN_INLINE __m256i CompressingOrder(uint32_t bits) {
  return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(kCompressingOrders.of[bits])));
}
NEXTTOKEN_INLINE int32_t Compress(Mask mask, Floats x, float* to) {
  const uint32_t bits = Bits(mask);
  _mm256_storeu_ps(to, _mm256_permutevar8x32_ps(x.v, CompressingOrder(bits)));
  return __builtin_popcount(bits);
}
NEXTTOKEN_INLINE void CompressIds(Mask mask, const int32_t* from, int32_t* to) {
  const __m256i ids = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(ids, CompressingOrder(Bits(mask))));
}
NEXTTOKEN_INLINE void CompressIds(Mask mask, int32_t first, int32_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm256_add_epi32(_mm256_set1_epi32(first), CompressingOrder(Bits(mask))));
}

NEXTTOKEN_INLINE Floats Fill(float x) {
  return {_mm256_set1_ps(x)};
}
NEXTTOKEN_INLINE Floats Add(Floats a, Floats b) {
  return {_mm256_add_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Sub(Floats a, Floats b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Mul(Floats a, Floats b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats MulAdd(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
NEXTTOKEN_INLINE Floats Max(Floats a, Floats b) {
  return {_mm256_max_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Min(Floats a, Floats b) {
  return {_mm256_min_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Round(Floats x) {
  return {_mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
NEXTTOKEN_INLINE Floats TimesPowerOfTwo(Floats x, Floats n) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n.v), 23);
  return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x.v), exponent))};
}
NEXTTOKEN_INLINE float LargestLane(Floats x) {
  __m128 y = _mm_max_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  y = _mm_max_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}
NEXTTOKEN_INLINE float SmallestLane(Floats x) {
  __m128 y = _mm_min_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  y = _mm_min_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_min_ss(y, _mm_movehdup_ps(y)));
}
NEXTTOKEN_INLINE double SumOfLanes(Floats x) {
  const __m256d y =
      _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(x.v)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.v, 1)));
  const __m128d z = _mm_add_pd(_mm256_castpd256_pd128(y), _mm256_extractf128_pd(y, 1));
  return _mm_cvtsd_f64(_mm_add_sd(z, _mm_unpackhi_pd(z, z)));
}

NEXTTOKEN_INLINE Mask AtLeast(Floats a, Floats b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)};
}
NEXTTOKEN_INLINE Mask Above(Floats a, Floats b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)};
}
NEXTTOKEN_INLINE Mask Same(Floats a, Floats b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)};
}
NEXTTOKEN_INLINE Mask Unordered(Floats a, Floats b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_UNORD_Q)};
}
NEXTTOKEN_INLINE Mask And(Mask a, Mask b) {
  return {_mm256_and_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Mask Or(Mask a, Mask b) {
  return {_mm256_or_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Mask Except(Mask a, Mask b) {
  return {_mm256_andnot_ps(b.v, a.v)};
}
NEXTTOKEN_INLINE Mask MaskOf(uint32_t bits) {
  const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int32_t>(bits)), lane);
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane))};
}
NEXTTOKEN_INLINE Floats Select(Mask mask, Floats a, Floats b) {
  return {_mm256_blendv_ps(b.v, a.v, mask.v)};
}

NEXTTOKEN_INLINE Floats Where(Mask mask, Floats x) {
  return {_mm256_and_ps(mask.v, x.v)};
}

// Sums of integers below 2^53 are exact in double, in any order.
struct WideSum {
  __m256d low = _mm256_setzero_pd();
  __m256d high = _mm256_setzero_pd();
};
NEXTTOKEN_INLINE void AddFloor(WideSum* sum, Floats x) {
  const __m256 whole = _mm256_floor_ps(x.v);
  sum->low = _mm256_add_pd(sum->low, _mm256_cvtps_pd(_mm256_castps256_ps128(whole)));
  sum->high = _mm256_add_pd(sum->high, _mm256_cvtps_pd(_mm256_extractf128_ps(whole, 1)));
}
NEXTTOKEN_INLINE void AddFloor(WideSum* all, WideSum* some, Mask mask, Floats x) {
  AddFloor(all, x);
  AddFloor(some, Where(mask, x));
}
NEXTTOKEN_INLINE uint64_t Total(const WideSum& sum) {
  const __m256d y = _mm256_add_pd(sum.low, sum.high);
  const __m128d z = _mm_add_pd(_mm256_castpd256_pd128(y), _mm256_extractf128_pd(y, 1));
  return static_cast<uint64_t>(_mm_cvtsd_si64(_mm_add_sd(z, _mm_unpackhi_pd(z, z))));
}

struct NarrowSum {
  __m256i lanes = _mm256_setzero_si256();
};
NEXTTOKEN_INLINE void AddFloor(NarrowSum* sum, Floats x) {
  sum->lanes = _mm256_add_epi32(sum->lanes, _mm256_cvttps_epi32(x.v));
}
NEXTTOKEN_INLINE uint64_t Total(const NarrowSum& sum) {
  const __m256i y = _mm256_add_epi64(_mm256_cvtepu32_epi64(_mm256_castsi256_si128(sum.lanes)),
                                     _mm256_cvtepu32_epi64(_mm256_extracti128_si256(sum.lanes, 1)));
  const __m128i z = _mm_add_epi64(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(z) + _mm_extract_epi64(z, 1));
}

// An integer below 2^52 added to 2^52 stands in the low bits of the double.
NEXTTOKEN_INLINE void StoreFloor(Floats x, uint64_t* to) {
  const __m256 whole = _mm256_floor_ps(x.v);
  const __m256d magic = _mm256_set1_pd(0x1p52);
  const __m256d low = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(whole)), magic);
  const __m256d high = _mm256_add_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(whole, 1)), magic);
  const __m256i bits = _mm256_castpd_si256(magic);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_xor_si256(_mm256_castpd_si256(low), bits));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 4), _mm256_xor_si256(_mm256_castpd_si256(high), bits));
}

}  // namespace
}  // namespace nexttoken
