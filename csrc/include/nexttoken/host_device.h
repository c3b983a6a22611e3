// What the shared headers need to compile alike for the host and for CUDA.
#pragma once

// Always inlined on the host: the CPU kernels are compiled once per instruction set, and an out-of-line copy of a
// shared function made with AVX-512 could be the one the linker keeps for a machine that lacks it.
#if defined(__CUDACC__)
#define NEXTTOKEN_HD __host__ __device__ __forceinline__
#else
#define NEXTTOKEN_HD inline __attribute__((always_inline))
#endif

// For pieces of a kernel's inner loop, whose vectors must stay in registers.
#define NEXTTOKEN_INLINE inline __attribute__((always_inline))
