// Threads that work on something together: all of a block, or one warp.
#pragma once

#include <cstdint>

#include "../device.cuh"

namespace nexttoken {

constexpr int kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ int Lane() {
  return static_cast<int>(threadIdx.x) % kWarpSize;
}

struct Block {
  static constexpr int kChunksAhead = 4;  // chunks of a row that a warp has on their way at a time
  __device__ static int Rank() { return static_cast<int>(threadIdx.x); }
  __device__ static int Size() { return static_cast<int>(blockDim.x); }
  __device__ static int WarpIndex() { return Rank() / kWarpSize; }
  __device__ static int Warps() { return Size() / kWarpSize; }
  __device__ static void Sync() { __syncthreads(); }
};

struct Warp {
  static constexpr int kChunksAhead = 1;
  __device__ static int Rank() { return Lane(); }
  __device__ static int Size() { return kWarpSize; }
  __device__ static int WarpIndex() { return 0; }
  __device__ static int Warps() { return 1; }
  __device__ static void Sync() { __syncwarp(); }
};

}  // namespace nexttoken
