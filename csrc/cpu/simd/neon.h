// The operations of simd/portable.h, where their contract stands, for 64-bit Arm.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "nexttoken/host_device.h"

namespace nexttoken {
namespace {

constexpr int kLanes = 4;

struct Floats {
  float32x4_t v;
};
struct Mask {
  uint32x4_t v;  // all ones or all zeros a lane
};

NEXTTOKEN_INLINE Floats Load(const void* from) {
  return {vreinterpretq_f32_u8(vld1q_u8(static_cast<const uint8_t*>(from)))};
}
NEXTTOKEN_INLINE Floats LoadBFloat16(const void* from) {
  const uint16x4_t bits = vreinterpret_u16_u8(vld1_u8(static_cast<const uint8_t*>(from)));
  return {vreinterpretq_f32_u32(vshll_n_u16(bits, 16))};
}
NEXTTOKEN_INLINE Floats LoadFloat16(const void* from) {
  return {vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(static_cast<const uint8_t*>(from))))};
}
NEXTTOKEN_INLINE void Store(float* to, Floats x) {
  vst1q_f32(to, x.v);
}

NEXTTOKEN_INLINE uint32_t Bits(Mask mask) {
  const uint32x4_t lane = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(mask.v, lane));
}
NEXTTOKEN_INLINE int32_t Compress(Mask mask, Floats x, float* to) {
  const uint32_t bits = Bits(mask);
  float lanes[kLanes];
  vst1q_f32(lanes, x.v);
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = lanes[i];
    count += (bits >> i) & 1;
  }
  return count;
}
NEXTTOKEN_INLINE void CompressIds(Mask mask, const int32_t* from, int32_t* to) {
  const uint32_t bits = Bits(mask);
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = from[i];
    count += (bits >> i) & 1;
  }
}
NEXTTOKEN_INLINE void CompressIds(Mask mask, int32_t first, int32_t* to) {
  const uint32_t bits = Bits(mask);
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = first + i;
    count += (bits >> i) & 1;
  }
}

NEXTTOKEN_INLINE Floats Fill(float x) {
  return {vdupq_n_f32(x)};
}
NEXTTOKEN_INLINE Floats Add(Floats a, Floats b) {
  return {vaddq_f32(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Sub(Floats a, Floats b) {
  return {vsubq_f32(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Mul(Floats a, Floats b) {
  return {vmulq_f32(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats MulAdd(Floats a, Floats b, Floats c) {
  return {vfmaq_f32(c.v, a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Max(Floats a, Floats b) {
  return {vmaxq_f32(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Min(Floats a, Floats b) {
  return {vminq_f32(a.v, b.v)};
}
NEXTTOKEN_INLINE Floats Round(Floats x) {
  return {vrndnq_f32(x.v)};
}
NEXTTOKEN_INLINE Floats TimesPowerOfTwo(Floats x, Floats n) {
  const int32x4_t exponent = vshlq_n_s32(vcvtq_s32_f32(n.v), 23);
  return {vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x.v), exponent))};
}
NEXTTOKEN_INLINE float LargestLane(Floats x) {
  return vmaxvq_f32(x.v);
}
NEXTTOKEN_INLINE float SmallestLane(Floats x) {
  return vminvq_f32(x.v);
}
NEXTTOKEN_INLINE double SumOfLanes(Floats x) {
  return vaddvq_f64(vaddq_f64(vcvt_f64_f32(vget_low_f32(x.v)), vcvt_high_f64_f32(x.v)));
}

NEXTTOKEN_INLINE Mask AtLeast(Floats a, Floats b) {
  return {vcgeq_f32(a.v, b.v)};
}
NEXTTOKEN_INLINE Mask Above(Floats a, Floats b) {
  return {vcgtq_f32(a.v, b.v)};
}
NEXTTOKEN_INLINE Mask Same(Floats a, Floats b) {
  return {vceqq_f32(a.v, b.v)};
}
NEXTTOKEN_INLINE Mask Unordered(Floats a, Floats b) {
  return {vmvnq_u32(vandq_u32(vceqq_f32(a.v, a.v), vceqq_f32(b.v, b.v)))};
}
NEXTTOKEN_INLINE Mask And(Mask a, Mask b) {
  return {vandq_u32(a.v, b.v)};
}
NEXTTOKEN_INLINE Mask Or(Mask a, Mask b) {
  return {vorrq_u32(a.v, b.v)};
}
NEXTTOKEN_INLINE Mask Except(Mask a, Mask b) {
  return {vbicq_u32(a.v, b.v)};
}
NEXTTOKEN_INLINE Mask MaskOf(uint32_t bits) {
  const uint32x4_t lane = {1, 2, 4, 8};
  return {vtstq_u32(vdupq_n_u32(bits), lane)};
}
NEXTTOKEN_INLINE Floats Select(Mask mask, Floats a, Floats b) {
  return {vbslq_f32(mask.v, a.v, b.v)};
}

NEXTTOKEN_INLINE Floats Where(Mask mask, Floats x) {
  return {vreinterpretq_f32_u32(vandq_u32(mask.v, vreinterpretq_u32_f32(x.v)))};
}

struct WideSum {
  uint64x2_t low = vdupq_n_u64(0);
  uint64x2_t high = vdupq_n_u64(0);
};
NEXTTOKEN_INLINE void AddFloor(WideSum* sum, Floats x) {
  sum->low = vaddq_u64(sum->low, vcvtq_u64_f64(vcvt_f64_f32(vget_low_f32(x.v))));
  sum->high = vaddq_u64(sum->high, vcvtq_u64_f64(vcvt_high_f64_f32(x.v)));
}
NEXTTOKEN_INLINE void AddFloor(WideSum* all, WideSum* some, Mask mask, Floats x) {
  AddFloor(all, x);
  AddFloor(some, Where(mask, x));
}
NEXTTOKEN_INLINE uint64_t Total(const WideSum& sum) {
  return vaddvq_u64(vaddq_u64(sum.low, sum.high));
}

struct NarrowSum {
  uint32x4_t lanes = vdupq_n_u32(0);
};
NEXTTOKEN_INLINE void AddFloor(NarrowSum* sum, Floats x) {
  sum->lanes = vaddq_u32(sum->lanes, vcvtq_u32_f32(x.v));
}
NEXTTOKEN_INLINE uint64_t Total(const NarrowSum& sum) {
  return vaddlvq_u32(sum.lanes);
}

NEXTTOKEN_INLINE void StoreFloor(Floats x, uint64_t* to) {
  vst1q_u64(to, vcvtq_u64_f64(vcvt_f64_f32(vget_low_f32(x.v))));
  vst1q_u64(to + 2, vcvtq_u64_f64(vcvt_high_f64_f32(x.v)));
}

}  // namespace
}  // namespace nexttoken
