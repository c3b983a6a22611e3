// The first look at a row, tile by tile: its maxima by chunk, NaN, the sum of exponentials of the caller's logits, and
// a sample of values from which the cut is guessed (bracket.cuh).
#pragma once

#include <cstdint>

#include "block/sums.cuh"
#include "nexttoken/filter.h"
#include "row_memory.cuh"

namespace nexttoken {

// 2^x to the accuracy that logprobs need: no token depends on it.
__device__ __forceinline__ float Exp2Approximately(float x) {
#if defined(__CUDACC__)
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return exp2f(x);
#endif
}

// The larger, or NaN where one is.
__device__ __forceinline__ float MaxOrNan(float a, float b) {
#if defined(__CUDACC__)
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
#else
  return a != a ? a : b != b ? b : fmaxf(a, b);
#endif
}

__device__ __forceinline__ float LaneMax(const LaneChunk& x) {
  float largest = x[0];
#pragma unroll
  for (int j = 1; j < kLaneValues; ++j) largest = MaxOrNan(largest, x[j]);
  return largest;
}

// Canonical, so that keys of equal values are equal. Any number where one is NaN.
__device__ __forceinline__ float WarpMax(float largest) {
  return FloatOfKey(__reduce_max_sync(kAllLanes, OrderKey(Canonical(largest))));
}

// The sum of exponentials of a chunk relative to its maximum, the same for all lanes; where that is +inf, how many are.
// Always added in the same order, so that no plan, place or alignment changes a logprob.
__device__ __forceinline__ float ExponentialSum(const LaneChunk& x, float max) {
  constexpr float kLog2E = 1.4426950408889634f;
  float sum = 0.0f;
  if (max == -kNegativeInfinity) {
#pragma unroll
    for (int j = 0; j < kLaneValues; ++j) sum += x[j] == max ? 1.0f : 0.0f;
  } else if (max > kNegativeInfinity) {
#pragma unroll
    for (int j = 0; j < kLaneValues; ++j) sum += Exp2Approximately((x[j] - max) * kLog2E);
  }
#pragma unroll
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, distance);
  }
  return sum;
}

struct ReadingWitness {
  float* maxima;      // [tile_chunks], shared
  float* raw_maxima;  // [chunks], or null where nobody asks for the caller's logits
  float* raw_sums;    // [chunks]
  bool has_bitmask;
  float largest = 0.0f;  // of the lane's part of the chunk it is at
  bool has_nan = false;
  bool is_bad = false;

  __device__ void Raw(int32_t chunk, const LaneChunk& x) {
    largest = LaneMax(x);
    has_nan |= IsNan(largest);
    if (!raw_maxima) return;
    const float max = WarpMax(largest);
    const float sum = ExponentialSum(x, max);
    if (Lane() != 0) return;
    raw_maxima[chunk] = max;
    raw_sums[chunk] = sum;
  }
  __device__ void Masked(int32_t k, const LaneChunk& x) {
    if (has_bitmask) largest = LaneMax(x);  // else it is what Raw saw
    const float largest_of_all = WarpMax(largest);
    if (Lane() == 0) maxima[k] = largest_of_all;
  }
  // A chunk that was edited has no maximum until it is looked at again.
  __device__ void Edited(int32_t place, float z) {
    has_nan |= IsNan(z);
    atomicExch(reinterpret_cast<unsigned*>(&maxima[place / kChunk]), 0x7fc00000u);
  }
  __device__ void BadParameter() { is_bad = true; }
};

__device__ inline void FindEditedMaxima(BlockMemory* block, const Tile& tile) {
#pragma unroll 1
  for (int32_t k = Block::WarpIndex(); k < tile.chunks; k += Block::Warps()) {
    if (!IsNan(block->maxima[k])) continue;
    LaneChunk x;
#pragma unroll
    for (int j = 0; j < kLaneValues; ++j) x[j] = block->tile[k * kChunk + j * kWarpSize + Lane()];
    const float largest = WarpMax(LaneMax(x));
    __syncwarp();  // all lanes have seen that there was none
    if (Lane() == 0) block->maxima[k] = largest;
  }
  Block::Sync();
}

// The tile's chunk with the highest maximum, the first of equals; 0 of a tile without chunks. By one warp.
__device__ inline int32_t HotChunk(const float* maxima, int32_t chunks) {
  uint32_t highest = 0;
  int32_t mine = 0;
  for (int32_t k = Lane(); k < chunks; k += kWarpSize) {
    const uint32_t key = OrderKey(maxima[k]);
    if (key > highest) highest = key, mine = k;
  }
  const bool has_it = __reduce_max_sync(kAllLanes, highest) == highest;
  return static_cast<int32_t>(__reduce_min_sync(kAllLanes, has_it ? static_cast<unsigned>(mine) : ~0u));
}

// Values that are not their chunk's largest, which counts in any case; another part of the chunk each time, because
// positions in a real vocabulary are not all alike. Of the hot chunk all values count: where likely tokens have
// neighbouring ids, as in a vocabulary sorted by frequency, a sample of it would say little.
__device__ inline void TakeSample(BlockMemory* block, const Tile& tile, int32_t index, int32_t hot, int32_t per_chunk) {
#pragma unroll 1
  for (int32_t i = Block::Rank(); i < tile.chunks * per_chunk; i += Block::Size()) {
    const int32_t k = i / per_chunk;
    const int32_t chunk = tile.Chunk(k);
    const int32_t place = (i % per_chunk * (kChunk / per_chunk) + chunk * 37) % kChunk;
    const float z = block->tile[k * kChunk + place];
    const bool counts = k != hot && z != block->maxima[k];
    block->memory.sample[chunk * per_chunk + i % per_chunk] = counts ? z : kNegativeInfinity;
  }
  for (int32_t i = Block::Rank(); i < kChunk; i += Block::Size()) {
    block->memory.hot[index * kChunk + i] = tile.chunks > 0 ? block->tile[hot * kChunk + i] : kNegativeInfinity;
  }
}

// The tile into shared memory, its maxima into shared and device memory, what else was found into device memory.
template <DType kDType>
__device__ void ReadTile(BlockMemory* block, const RowLayout& layout, int32_t index) {
  const Row& row = block->row;
  const RowMemory& memory = block->memory;
  const Tile tile = TileOf(layout.chunks, index, layout.tiles);
  const bool wants_raw = row.WantsRawLogprobs();
  ReadingWitness witness = {block->maxima, wants_raw ? memory.raw_maxima : nullptr, memory.raw_sums,
                            row.token_bitmask != nullptr};
  PrefetchEdits(row);
  LoadTile<kDType, Block>(row, tile, block->tile, &witness);
  FindEditedMaxima(block, tile);
#pragma unroll 1
  for (int32_t k = Block::Rank(); k < tile.chunks; k += Block::Size()) {
    memory.maxima[tile.Chunk(k)] = block->maxima[k];
  }
  const int32_t hot = HotChunk(block->maxima, tile.chunks);
  if (layout.samples_per_chunk > 0 && (row.HasTopK() || row.HasTopP())) {
    TakeSample(block, tile, index, hot, layout.samples_per_chunk);
  }
  const bool has_nan = __syncthreads_or(witness.has_nan) != 0;
  const bool is_bad = __syncthreads_or(witness.is_bad) != 0;
  if (Block::Rank() == 0) {
    memory.reports[index] = {tile.Chunk(hot), has_nan, is_bad};
    if (index == 0) *memory.totals = {};
  }
}

}  // namespace nexttoken
