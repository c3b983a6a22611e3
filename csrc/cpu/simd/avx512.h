// The operations of simd/portable.h, where their contract stands, for AVX-512 (F, BW, DQ, VL).
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace nexttoken {
namespace {

constexpr int kLanes = 16;

struct Floats {
  __m512 v;
};
struct Mask {
  __mmask16 bits;
};

inline Floats Load(const void* from) {
  return {_mm512_loadu_ps(from)};
}
inline Floats LoadBFloat16(const void* from) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
inline Floats LoadFloat16(const void* from) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(from)))};
}
inline void Store(float* to, Floats x) {
  _mm512_storeu_ps(to, x.v);
}

// In a register first: compressing into memory is a hundred times slower on some processors.
inline int32_t Compress(Mask mask, Floats x, float* to) {
  _mm512_storeu_ps(to, _mm512_maskz_compress_ps(mask.bits, x.v));
  return __builtin_popcount(mask.bits);
}
inline void CompressIds(Mask mask, const int32_t* from, int32_t* to) {
  _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(mask.bits, _mm512_loadu_si512(from)));
}
inline void CompressIds(Mask mask, int32_t first, int32_t* to) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i ids = _mm512_add_epi32(_mm512_set1_epi32(first), lanes);
  _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(mask.bits, ids));
}

inline Floats Fill(float x) {
  return {_mm512_set1_ps(x)};
}
inline Floats Add(Floats a, Floats b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Floats Sub(Floats a, Floats b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Floats Mul(Floats a, Floats b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Floats MulAdd(Floats a, Floats b, Floats c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Floats Max(Floats a, Floats b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline Floats Min(Floats a, Floats b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline Floats Round(Floats x) {
  return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Floats TimesPowerOfTwo(Floats x, Floats n) {
  return {_mm512_scalef_ps(x.v, n.v)};
}
inline float LargestLane(Floats x) {
  return _mm512_reduce_max_ps(x.v);
}
inline float SmallestLane(Floats x) {
  return _mm512_reduce_min_ps(x.v);
}
inline double SumOfLanes(Floats x) {
  return _mm512_reduce_add_pd(_mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(x.v)),
                                            _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1))));
}

inline Mask AtLeast(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)};
}
inline Mask Above(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)};
}
inline Mask Same(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
inline Mask Unordered(Floats a, Floats b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_UNORD_Q)};
}
inline Mask And(Mask a, Mask b) {
  return {_kand_mask16(a.bits, b.bits)};
}
inline Mask Or(Mask a, Mask b) {
  return {_kor_mask16(a.bits, b.bits)};
}
inline Mask Except(Mask a, Mask b) {
  return {_kandn_mask16(b.bits, a.bits)};
}
inline uint32_t Bits(Mask mask) {
  return mask.bits;
}
inline Mask MaskOf(uint32_t bits) {
  return {static_cast<__mmask16>(bits)};
}
inline Floats Select(Mask mask, Floats a, Floats b) {
  return {_mm512_mask_blend_ps(mask.bits, b.v, a.v)};
}

struct WideSum {
  __m512i low = _mm512_setzero_si512();
  __m512i high = _mm512_setzero_si512();
};
inline void AddFloor(WideSum* sum, Mask mask, Floats x) {
  const __m512 kept = _mm512_maskz_mov_ps(mask.bits, x.v);
  sum->low = _mm512_add_epi64(sum->low, _mm512_cvttps_epu64(_mm512_castps512_ps256(kept)));
  sum->high = _mm512_add_epi64(sum->high, _mm512_cvttps_epu64(_mm512_extractf32x8_ps(kept, 1)));
}
inline uint64_t Total(const WideSum& sum) {
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(_mm512_add_epi64(sum.low, sum.high)));
}

struct NarrowSum {
  __m512i lanes = _mm512_setzero_si512();
};
inline void AddFloor(NarrowSum* sum, Mask mask, Floats x) {
  sum->lanes = _mm512_add_epi32(sum->lanes, _mm512_maskz_cvttps_epi32(mask.bits, x.v));
}
inline uint64_t Total(const NarrowSum& sum) {
  return static_cast<uint64_t>(
      _mm512_reduce_add_epi64(_mm512_add_epi64(_mm512_cvtepu32_epi64(_mm512_castsi512_si256(sum.lanes)),
                                               _mm512_cvtepu32_epi64(_mm512_extracti32x8_epi32(sum.lanes, 1)))));
}

inline void StoreFloor(Mask mask, Floats x, uint64_t* to) {
  const __m512 kept = _mm512_maskz_mov_ps(mask.bits, x.v);
  _mm512_storeu_si512(to, _mm512_cvttps_epu64(_mm512_castps512_ps256(kept)));
  _mm512_storeu_si512(to + 8, _mm512_cvttps_epu64(_mm512_extractf32x8_ps(kept, 1)));
}

}  // namespace
}  // namespace nexttoken
