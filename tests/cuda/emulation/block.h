// CUDA's words for a host compiler, so that kernels run on a CPU: in tests, without a GPU.
//
// Every thread of a block is a fiber. The blocks of a cluster run at the same time, clusters one after another. Which
// cluster, warp or lane goes first, and which goes on after a barrier or a warp's collective, is drawn from a seed:
// results that depend on it differ between seeds. A fiber runs until it waits or, now and then, until an atomic, so
// threads may wait for each other's atomics within a cluster, never beyond it.
//
// Where CUDA leaves the outcome undefined, a message and abort():
// - lanes of a warp at different collectives or with different masks, masks without the caller, or with a lane that has
//   returned, does not exist or waits at a barrier; shuffles that read from outside of the mask
// - threads of a block at different kinds of __syncthreads, or one that returns while others wait or will
// - threads that all wait
// Shared memory holds 0xa5 at first and is an allocation of its own: AddressSanitizer sees what goes beyond it.
//
// Under ThreadSanitizer accesses of two threads that nothing orders are reported, of shared or of global memory. What
// orders:
// - barriers and collectives, __syncwarp among them: those who take part
// - __threadfence: what came before it with what follows any thread's later __threadfence
// - an atomic whose thread has had a fence, with later such atomics at the same address. An atomic without a fence
//   orders nothing. A fence holds until the first barrier after an atomic.
// - Launch: all with what the host does before and after
// A cluster then has at most some 8000 threads.
//
// Kernels take what `__shared__` would declare from SharedMemory(). Thread blocks have one dimension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include "emulation/arithmetic.h"
#include "emulation/vectors.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__  // libstdc++ has attributes of this name, which must stay attributes
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))

namespace nexttoken::emulation {

struct LaunchShape {
  dim3 grid = {1, 1, 1};
  unsigned threads = 32;    // of a block
  unsigned cluster = 1;     // blocks of consecutive blockIdx.x; divides grid.x
  size_t shared_bytes = 0;  // dynamic shared memory of a block
  uint64_t seed = 0;        // of the order in which things happen
};

// What a thread knows of itself.
struct Position {
  uint3 thread;
  uint3 block;
  dim3 threads;
  dim3 grid;
  char* shared;
  size_t shared_bytes;
};

// Of the thread that runs.
extern const Position* position;

void LaunchThreads(const LaunchShape& shape, void (*thread)(void* context), void* context);

template <class... Parameters>
struct KernelCall {
  void (*kernel)(Parameters...);
  std::tuple<Parameters...> arguments;

  // Each thread has its own copy of the arguments.
  template <size_t... kIndices>
  void Run(std::index_sequence<kIndices...>) const {
    kernel(std::get<kIndices>(arguments)...);
  }
};

// Runs kernel(arguments...) and returns when all its threads have. Launches of several callers take turns.
template <class... Parameters, class... Arguments>
void Launch(const LaunchShape& shape, void (*kernel)(Parameters...), Arguments&&... arguments) {
  using Call = KernelCall<Parameters...>;
  Call call = {kernel, std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)};
  const auto thread = [](void* context) {
    static_cast<const Call*>(context)->Run(std::index_sequence_for<Parameters...>());
  };
  LaunchThreads(shape, thread, &call);
}

}  // namespace nexttoken::emulation

#include "emulation/atomics.h"
#include "emulation/collectives.h"

#define threadIdx (::nexttoken::emulation::position->thread)
#define blockIdx (::nexttoken::emulation::position->block)
#define blockDim (::nexttoken::emulation::position->threads)
#define gridDim (::nexttoken::emulation::position->grid)

namespace nexttoken {

// The block's dynamic shared memory, aligned to 16 bytes.
inline char* SharedMemory() {
  return emulation::position->shared;
}

// All threads of the cluster have come here, and see what each wrote before.
inline void ClusterSync(emulation::Place place = emulation::Place::Here()) {
  emulation::WaitForCluster(place);
}

}  // namespace nexttoken
