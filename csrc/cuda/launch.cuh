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

// A launch's size in CUDA's words, which point into each other.
struct LaunchConfig {
  cudaLaunchConfig_t config = {};
  cudaLaunchAttribute cluster = {};

  LaunchConfig(const LaunchSize& size, void* stream) {
    config.gridDim = dim3(static_cast<unsigned>(size.blocks));
    config.blockDim = dim3(static_cast<unsigned>(size.threads));
    config.dynamicSmemBytes = static_cast<size_t>(size.shared_bytes);
    config.stream = static_cast<cudaStream_t>(stream);
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {static_cast<unsigned>(size.cluster), 1, 1};
    config.attrs = &cluster;
    config.numAttrs = size.cluster > 1 ? 1 : 0;
  }
  LaunchConfig(const LaunchConfig&) = delete;
};

// All that the kernel may ever ask for on this device, always the same: another thread may be about to launch it.
template <class... Parameters>
cudaError_t PermitAll(void (*kernel)(Parameters...), bool has_clusters) {
  int device = 0;
  int shared_bytes = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  }
  const auto set = [&](cudaFuncAttribute attribute, int value) {
    if (error == cudaSuccess) error = cudaFuncSetAttribute(kernel, attribute, value);
  };
  set(cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  set(cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
  if (has_clusters) set(cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
  return error;
}

// Returns 0 or a cudaError_t.
template <class... Parameters>
int Launch(void (*kernel)(Parameters...), const LaunchSize& size, void* stream, const Parameters&... arguments) {
  if (size.blocks == 0) return 0;
  constexpr int64_t kWithoutAsking = 48 << 10;
  if (size.shared_bytes > kWithoutAsking || size.cluster > 8) {
    const cudaError_t error = PermitAll(kernel, size.cluster > 1);
    if (error != cudaSuccess) return error;
  }
  const LaunchConfig launch(size, stream);
  return cudaLaunchKernelEx(&launch.config, kernel, arguments...);
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
