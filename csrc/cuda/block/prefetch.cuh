// Memory that will be read soon, on its way into the L2 cache: latencies side by side instead of one after the other.
#pragma once

#include <cstdint>

#include "group.cuh"

namespace nexttoken {

// By a group.
template <class Group>
__device__ __forceinline__ void Prefetch(const void* from, int64_t bytes) {
#if defined(__CUDACC__)
  constexpr int kLine = 128;
#pragma unroll 1
  for (int64_t at = int64_t{Group::Rank()} * kLine; at < bytes; at += int64_t{Group::Size()} * kLine) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(static_cast<const char*>(from) + at));
  }
#else
  (void)from;
  (void)bytes;
#endif
}

}  // namespace nexttoken
