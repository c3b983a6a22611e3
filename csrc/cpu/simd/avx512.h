// The operations of simd/portable.h, where their contract stands, for AVX-512 (F, BW, DQ, VL).
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "nexttoken/host_device.h"

namespace nexttoken {
namespace {

constexpr int kLanes = 16;

struct Floats {
  __m512 v;
};
struct Mask {
  __mmask16 bits;
};

NEXTTOKEN_INLINE Floats Load(const void* from) {
  return {_mm512_loadu_ps(from)};
}
NEXTTOKEN_INLINE Floats LoadBFloat16(const void* from) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
NEXTTOKEN_INLINE Floats LoadFloat16(const void* from) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(from)))};
}
NEXTTOKEN_INLINE void Store(float* to, Floats x) {
  _mm512_storeu_ps(to, x.v);
}

// In a register first: compressing into memory is a hundred times slower on some processors.
NEXTTOKEN_INLINE int32_t Compress(Mask mask, Floats x, float* to) {
  _mm512_storeu_ps(to, _mm512_maskz_compress_ps(mask.bits, x.v));
  return __builtin_popcount(mask.bits);
}
NEXTTOKEN_INLINE void CompressIds(Mask mask, const int32_t* from, int32_t* to) {
  _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(mask.bits, _mm512_loadu_si512(from)));
}
NEXTTOKEN_INLINE void CompressIds(Mask mask, int32_t first, int32_t* to) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i ids = _mm512_add_epi32(_mm512_set1_epi32(first), lanes);
  _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(mask.bits, ids));
}

NEXTTOKEN_INLINE Floats Fill(float x) {
  return {_mm512_set1_ps(x)};
}
NEXTTOKEN_INLINE Floats Add(Floats a, Floats b) {
  return {_mm512_add_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Sub(Floats a, Floats b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Mul(Floats a, Floats b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats MulAdd(Floats a, Floats b, Floats c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
NEXTTOKEN_INLINE Floats Max(Floats a, Floats b) {
  return {_mm512_max_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Min(Floats a, Floats b) {
  return {_mm512_min_ps(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Round(Floats x) {
  return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
NEXTTOKEN_INLINE Floats TimesPowerOfTwo(Floats x, Floats n) {
  return {_mm512_scalef_ps(x.v, n.v)};
}
NEXTTOKEN_INLINE float LargestLane(Floats x) {
  return _mm512_reduce_max_ps(x.v);
}
NEXTTOKEN_INLINE float SmallestLane(Floats x) {
  return _mm512_reduce_min_ps(x.v);
}
NEXTTOKEN_INLINE double SumOfLanes(Floats x) {
  return _mm512_reduce_add_pd(
      _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(x.v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1))));
}

NEXTTOKEN_INLINE Mask AtLeast(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)};
}
NEXTTOKEN_INLINE Mask Above(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)};
}
NEXTTOKEN_INLINE Mask Same(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
NEXTTOKEN_INLINE Mask Unordered(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_UNORD_Q)};
}
NEXTTOKEN_INLINE Mask And(Mask a, Mask b) {
  return {_kand_mask16(a.bits, b.bits)};
}
NEXTTOKEN_INLINE Mask Or(Mask a, Mask b) {
  return {_kor_mask16(a.bits, b.bits)};
}
NEXTTOKEN_INLINE Mask Except(Mask a, Mask b) {
  return {_kandn_mask16(b.bits, a.bits)};
}
NEXTTOKEN_INLINE uint32_t Bits(Mask mask) {
  return mask.bits;
}
NEXTTOKEN_INLINE Mask MaskOf(uint32_t bits) {
  return {static_cast<__mmask16>(bits)};
}
NEXTTOKEN_INLINE Floats Select(Mask mask, Floats a, Floats b) {
  return {_mm512_mask_blend_ps(mask.bits, b.v, a.v)};
}

NEXTTOKEN_INLINE Floats Where(Mask mask, Floats x) {
  return {_mm512_maskz_mov_ps(mask.bits, x.v)};
}

struct WideSum {
  __m512i low = _mm512_setzero_si512();
  __m512i high = _mm512_setzero_si512();
};
NEXTTOKEN_INLINE void AddFloor(WideSum* sum, Floats x) {
  sum->low = _mm512_add_epi64(sum->low, _mm512_cvttps_epu64(_mm512_castps512_ps256(x.v)));
  sum->high = _mm512_add_epi64(sum->high, _mm512_cvttps_epu64(_mm512_extractf32x8_ps(x.v, 1)));
}
NEXTTOKEN_INLINE void AddFloor(WideSum* all, WideSum* some, Mask mask, Floats x) {
  const __m512i low = _mm512_cvttps_epu64(_mm512_castps512_ps256(x.v));
  const __m512i high = _mm512_cvttps_epu64(_mm512_extractf32x8_ps(x.v, 1));
  all->low = _mm512_add_epi64(all->low, low);
  all->high = _mm512_add_epi64(all->high, high);
  some->low = _mm512_mask_add_epi64(some->low, static_cast<__mmask8>(mask.bits), some->low, low);
  some->high = _mm512_mask_add_epi64(some->high, static_cast<__mmask8>(mask.bits >> 8), some->high, high);
}
NEXTTOKEN_INLINE uint64_t Total(const WideSum& sum) {
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(_mm512_add_epi64(sum.low, sum.high)));
}

struct NarrowSum {
  __m512i lanes = _mm512_setzero_si512();
};
NEXTTOKEN_INLINE void AddFloor(NarrowSum* sum, Floats x) {
  sum->lanes = _mm512_add_epi32(sum->lanes, _mm512_cvttps_epi32(x.v));
}
NEXTTOKEN_INLINE uint64_t Total(const NarrowSum& sum) {
  return static_cast<uint64_t>(
      _mm512_reduce_add_epi64(_mm512_add_epi64(_mm512_cvtepu32_epi64(_mm512_castsi512_si256(sum.lanes)),
                                               _mm512_cvtepu32_epi64(_mm512_extracti32x8_epi32(sum.lanes, 1)))));
}

NEXTTOKEN_INLINE void StoreFloor(Floats x, uint64_t* to) {
  _mm512_storeu_si512(to, _mm512_cvttps_epu64(_mm512_castps512_ps256(x.v)));
  _mm512_storeu_si512(to + 8, _mm512_cvttps_epu64(_mm512_extractf32x8_ps(x.v, 1)));
}

}  // namespace
}  // namespace nexttoken
