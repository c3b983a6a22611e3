// The operations of simd/portable.h, where their contract stands, for 64-bit Arm.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace nexttoken {
namespace {

constexpr int kLanes = 4;

struct Floats {
  float32x4_t v;
};
struct Mask {
  uint32x4_t v;  // all ones or all zeros a lane
};

inline Floats Load(const void* from) {
  return {vreinterpretq_f32_u8(vld1q_u8(static_cast<const uint8_t*>(from)))};
}
inline Floats LoadBFloat16(const void* from) {
  const uint16x4_t bits = vreinterpret_u16_u8(vld1_u8(static_cast<const uint8_t*>(from)));
  return {vreinterpretq_f32_u32(vshll_n_u16(bits, 16))};
}
inline Floats LoadFloat16(const void* from) {
  return {vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(static_cast<const uint8_t*>(from))))};
}
inline void Store(float* to, Floats x) {
  vst1q_f32(to, x.v);
}

inline uint32_t Bits(Mask mask) {
  const uint32x4_t lane = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(mask.v, lane));
}
inline int32_t Compress(Mask mask, Floats x, float* to) {
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
inline void CompressIds(Mask mask, const int32_t* from, int32_t* to) {
  const uint32_t bits = Bits(mask);
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = from[i];
    count += (bits >> i) & 1;
  }
}
inline void CompressIds(Mask mask, int32_t first, int32_t* to) {
  const uint32_t bits = Bits(mask);
  int32_t count = 0;
  for (int i = 0; i < kLanes; ++i) {
    to[count] = first + i;
    count += (bits >> i) & 1;
  }
}

inline Floats Fill(float x) {
  return {vdupq_n_f32(x)};
}
inline Floats Add(Floats a, Floats b) {
  return {vaddq_f32(a.v, b.v)};
}
inline Floats Sub(Floats a, Floats b) {
  return {vsubq_f32(a.v, b.v)};
}
inline Floats Mul(Floats a, Floats b) {
  return {vmulq_f32(a.v, b.v)};
}
inline Floats MulAdd(Floats a, Floats b, Floats c) {
  return {vfmaq_f32(c.v, a.v, b.v)};
}
inline Floats Max(Floats a, Floats b) {
  return {vmaxq_f32(a.v, b.v)};
}
inline Floats Min(Floats a, Floats b) {
  return {vminq_f32(a.v, b.v)};
}
inline Floats Round(Floats x) {
  return {vrndnq_f32(x.v)};
}
inline Floats TimesPowerOfTwo(Floats x, Floats n) {
  const int32x4_t exponent = vshlq_n_s32(vcvtq_s32_f32(n.v), 23);
  return {vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x.v), exponent))};
}
inline float LargestLane(Floats x) {
  return vmaxvq_f32(x.v);
}
inline float SmallestLane(Floats x) {
  return vminvq_f32(x.v);
}
inline double SumOfLanes(Floats x) {
  return vaddvq_f64(vaddq_f64(vcvt_f64_f32(vget_low_f32(x.v)), vcvt_high_f64_f32(x.v)));
}

inline Mask AtLeast(Floats a, Floats b) {
  return {vcgeq_f32(a.v, b.v)};
}
inline Mask Above(Floats a, Floats b) {
  return {vcgtq_f32(a.v, b.v)};
}
inline Mask Same(Floats a, Floats b) {
  return {vceqq_f32(a.v, b.v)};
}
inline Mask Unordered(Floats a, Floats b) {
  return {vmvnq_u32(vandq_u32(vceqq_f32(a.v, a.v), vceqq_f32(b.v, b.v)))};
}
inline Mask And(Mask a, Mask b) {
  return {vandq_u32(a.v, b.v)};
}
inline Mask Or(Mask a, Mask b) {
  return {vorrq_u32(a.v, b.v)};
}
inline Mask Except(Mask a, Mask b) {
  return {vbicq_u32(a.v, b.v)};
}
inline Mask MaskOf(uint32_t bits) {
  const uint32x4_t lane = {1, 2, 4, 8};
  return {vtstq_u32(vdupq_n_u32(bits), lane)};
}
inline Floats Select(Mask mask, Floats a, Floats b) {
  return {vbslq_f32(mask.v, a.v, b.v)};
}

struct WideSum {
  uint64x2_t low = vdupq_n_u64(0);
  uint64x2_t high = vdupq_n_u64(0);
};
inline float32x4_t Kept(Mask mask, Floats x) {
  return vreinterpretq_f32_u32(vandq_u32(mask.v, vreinterpretq_u32_f32(x.v)));
}
inline void AddFloor(WideSum* sum, Mask mask, Floats x) {
  const float32x4_t kept = Kept(mask, x);
  sum->low = vaddq_u64(sum->low, vcvtq_u64_f64(vcvt_f64_f32(vget_low_f32(kept))));
  sum->high = vaddq_u64(sum->high, vcvtq_u64_f64(vcvt_high_f64_f32(kept)));
}
inline uint64_t Total(const WideSum& sum) {
  return vaddvq_u64(vaddq_u64(sum.low, sum.high));
}

struct NarrowSum {
  uint32x4_t lanes = vdupq_n_u32(0);
};
inline void AddFloor(NarrowSum* sum, Mask mask, Floats x) {
  sum->lanes = vaddq_u32(sum->lanes, vcvtq_u32_f32(Kept(mask, x)));
}
inline uint64_t Total(const NarrowSum& sum) {
  return vaddlvq_u32(sum.lanes);
}

inline void StoreFloor(Mask mask, Floats x, uint64_t* to) {
  const float32x4_t kept = Kept(mask, x);
  vst1q_u64(to, vcvtq_u64_f64(vcvt_f64_f32(vget_low_f32(kept))));
  vst1q_u64(to + 2, vcvtq_u64_f64(vcvt_high_f64_f32(kept)));
}

}  // namespace
}  // namespace nexttoken
