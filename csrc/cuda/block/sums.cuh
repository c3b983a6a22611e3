// Sums and running sums over a warp or a block. All threads must call them together.
#pragma once

#include <cstdint>

#include "group.cuh"

namespace nexttoken {

// A value of words of 4 bytes, from another lane.
template <class T>
__device__ __forceinline__ T FromLaneBelow(const T& value, int distance) {
  constexpr int kWords = sizeof(T) / sizeof(uint32_t);
  static_assert(sizeof(T) % sizeof(uint32_t) == 0);
  uint32_t words[kWords];
  memcpy(words, &value, sizeof value);
  for (int i = 0; i < kWords; ++i) words[i] = __shfl_up_sync(kAllLanes, words[i], static_cast<unsigned>(distance));
  T other;
  memcpy(&other, words, sizeof other);
  return other;
}

// The sum over this lane and those below. T has `+`.
template <class T>
__device__ __forceinline__ T WarpRunningSum(T value) {
#pragma unroll
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const T below = FromLaneBelow(value, distance);
    if (Lane() >= distance) value = below + value;
  }
  return value;
}

__device__ __forceinline__ uint64_t WarpSum(uint64_t value) {
#pragma unroll
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kAllLanes, static_cast<unsigned long long>(value), distance);
  }
  return value;
}

// The sum over the threads before this one; `*total` is that over all. `scratch` is shared memory for one T a warp,
// free again when this returns.
template <class T>
__device__ T BlockRunningSum(const T& value, T* scratch, T* total) {
  const T inclusive = WarpRunningSum(value);
  if (Lane() == kWarpSize - 1) scratch[Block::WarpIndex()] = inclusive;
  Block::Sync();
  T before{};
  T all{};
#pragma unroll 1
  for (int warp = 0; warp < Block::Warps(); ++warp) {
    if (warp == Block::WarpIndex()) before = all;
    all = all + scratch[warp];
  }
  Block::Sync();
  *total = all;
  const T below = FromLaneBelow(inclusive, 1);
  return Lane() == 0 ? before : before + below;
}

// How much, and of how many.
struct Measure {
  uint64_t mass;
  uint64_t count;

  __device__ Measure operator+(const Measure& other) const { return {mass + other.mass, count + other.count}; }
};

// `scratch` as above.
__device__ __forceinline__ Measure BlockSum(Measure value, Measure* scratch) {
  value = {WarpSum(value.mass), WarpSum(value.count)};
  if (Lane() == 0) scratch[Block::WarpIndex()] = value;
  Block::Sync();
  Measure all{};
#pragma unroll 1
  for (int warp = 0; warp < Block::Warps(); ++warp) all = all + scratch[warp];
  Block::Sync();
  return all;
}

__device__ __forceinline__ uint64_t BlockSum(uint64_t value, uint64_t* scratch) {
  value = WarpSum(value);
  if (Lane() == 0) scratch[Block::WarpIndex()] = value;
  Block::Sync();
  uint64_t all = 0;
#pragma unroll 1
  for (int warp = 0; warp < Block::Warps(); ++warp) all += scratch[warp];
  Block::Sync();
  return all;
}

// The larger of all first values, and of all second ones: of OrderKeys, say. `scratch` holds two words a warp.
struct TwoKeys {
  uint32_t first;
  uint32_t second;
};
__device__ __forceinline__ TwoKeys BlockMax(TwoKeys keys, TwoKeys* scratch) {
  keys = {__reduce_max_sync(kAllLanes, keys.first), __reduce_max_sync(kAllLanes, keys.second)};
  if (Lane() == 0) scratch[Block::WarpIndex()] = keys;
  Block::Sync();
  TwoKeys largest = {0, 0};
#pragma unroll 1
  for (int warp = 0; warp < Block::Warps(); ++warp) {
    if (scratch[warp].first > largest.first) largest.first = scratch[warp].first;
    if (scratch[warp].second > largest.second) largest.second = scratch[warp].second;
  }
  Block::Sync();
  return largest;
}

__device__ __forceinline__ uint32_t BlockMax(uint32_t key, uint64_t* scratch) {
  return BlockMax({key, 0}, reinterpret_cast<TwoKeys*>(scratch)).first;
}

// Adds to 64 bits in shared memory with atomics of 32, which the hardware has: whoever makes the low half overflow
// carries.
__device__ __forceinline__ void AddShared(uint64_t* sum, uint64_t value) {
  auto* halves = reinterpret_cast<unsigned*>(sum);  // little endian
  const auto low = static_cast<unsigned>(value);
  const unsigned before = atomicAdd(&halves[0], low);
  const unsigned high = static_cast<unsigned>(value >> 32) + (before + low < before ? 1u : 0u);
  if (high) atomicAdd(&halves[1], high);
}

}  // namespace nexttoken
