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

// Chunks of a row that a warp of a block has on their way at a time: as many as leave registers for three blocks.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int kBlockChunksAhead = 3;
#else
constexpr int kBlockChunksAhead = 4;
#endif

struct Block {
  static constexpr int kChunksAhead = kBlockChunksAhead;
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
