// The words that kernels are written in. Compiled by nvcc they are CUDA's own. Compiled by a host compiler they come
// from tests/cuda/emulation, which runs the threads of a block as fibers: tests only.
#pragma once

#if defined(__CUDACC__)
#include <cuda_runtime.h>

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "the kernels need compute capability 8.0: redux.sync, max.NaN"
#endif

namespace nexttoken {

// The block's dynamic shared memory, aligned to 16 bytes.
__device__ __forceinline__ char* SharedMemory() {
  extern __shared__ __align__(16) char memory[];
  return memory;
}

// All threads of the cluster have come here, and see what each wrote before.
__device__ __forceinline__ void ClusterSync() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
  __trap();  // code for devices without clusters, on one with: ReadDeviceLimits keeps it from getting here
#endif
}

}  // namespace nexttoken
#else
#include "emulation/block.h"
#endif
