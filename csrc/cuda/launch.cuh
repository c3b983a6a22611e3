// A kernel onto a stream.
#pragma once

#include <cstdint>

#include "device.cuh"

namespace nexttoken {

struct LaunchSize {
  int64_t blocks;
  int threads;
  int cluster;  // blocks of one cluster; 1: none
  int64_t shared_bytes;
};

#if defined(__CUDACC__)

// Returns 0 or a cudaError_t.
template <class... Parameters>
int Launch(void (*kernel)(Parameters...), const LaunchSize& size, void* stream, const Parameters&... arguments) {
  if (size.blocks == 0) return 0;
  constexpr int64_t kWithoutAsking = 48 << 10;
  if (size.shared_bytes > kWithoutAsking) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(size.shared_bytes));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(size.blocks));
  config.blockDim = dim3(static_cast<unsigned>(size.threads));
  config.dynamicSmemBytes = static_cast<size_t>(size.shared_bytes);
  config.stream = static_cast<cudaStream_t>(stream);
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(size.cluster), 1, 1};
  config.attrs = &cluster;
  config.numAttrs = size.cluster > 1 ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

#else

namespace emulation {
inline uint64_t launch_seed = 1;  // of the next launch
}

template <class... Parameters>
int Launch(void (*kernel)(Parameters...), const LaunchSize& size, void*, const Parameters&... arguments) {
  if (size.blocks == 0) return 0;
  emulation::LaunchShape shape;
  shape.grid = {static_cast<unsigned>(size.blocks), 1, 1};
  shape.threads = static_cast<unsigned>(size.threads);
  shape.cluster = static_cast<unsigned>(size.cluster);
  shape.shared_bytes = static_cast<size_t>(size.shared_bytes);
  shape.seed = emulation::launch_seed++;
  emulation::Launch(shape, kernel, arguments...);
  return 0;
}

#endif

}  // namespace nexttoken
