// Kernels that are wrong on purpose: the emulation stops each with a message that says what is wrong, for every order
// of threads. AddressSanitizer and ThreadSanitizer, where this is built with one, see what they should, and no more.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "emulation/block.h"

#if defined(NEXTTOKEN_EMULATION_TSAN)
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif
#if defined(NEXTTOKEN_EMULATION_ASAN)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

namespace {

using namespace nexttoken;
using emulation::Launch;
using emulation::LaunchShape;

constexpr unsigned kFull = 0xffffffffu;

using Kernel = void (*)(unsigned* memory);

__global__ void OtherCollective(unsigned*) {
  if (threadIdx.x % 32 < 16) {
    __ballot_sync(kFull, 1);
  } else {
    __any_sync(kFull, 1);
  }
}

__global__ void OtherMask(unsigned*) {
  __ballot_sync(threadIdx.x % 32 < 16 ? 0xffffu : kFull, 1);
}

__global__ void OverlappingMask(unsigned*) {
  __ballot_sync(threadIdx.x % 32 < 16 ? 0x1ffffu : 0xffff0000u, 1);
}

__global__ void OtherWidth(unsigned*) {
  __shfl_sync(kFull, 1, 0, threadIdx.x % 32 < 16 ? 16 : 32);
}

__global__ void MaskWithoutCaller(unsigned*) {
  __ballot_sync(0xffffu, 1);
}

__global__ void MaskBeyondBlock(unsigned*) {
  if (threadIdx.x < 32) return;
  __ballot_sync(kFull, 1);
}

__global__ void ReadOutsideMask(unsigned*) {
  if (threadIdx.x % 32 < 16) __shfl_down_sync(0xffffu, 1, 1);
}

__global__ void OddWidth(unsigned*) {
  __shfl_sync(kFull, 1, 0, 12);
}

// Thread 3 goes its own way, before or after all others go theirs. True for thread 3.
template <bool kFirst>
__device__ bool Deviates(unsigned* memory) {
  const bool deviates = threadIdx.x == 3;
  const unsigned earlier = deviates == kFirst ? 0 : kFirst ? 1 : blockDim.x - 1;
  while (atomicAdd(&memory[blockIdx.x], 0) < earlier) {
  }
  atomicAdd(&memory[blockIdx.x], 1);
  return deviates;
}

template <bool kFirst>
__global__ void ReturnBeforeBarrier(unsigned* memory) {
  if (Deviates<kFirst>(memory)) return;
  __syncthreads();
}

template <bool kFirst>
__global__ void ReturnWithinWarp(unsigned* memory) {
  if (Deviates<kFirst>(memory)) return;
  __syncwarp();
}

template <bool kFirst>
__global__ void BarrierWithinWarp(unsigned* memory) {
  if (Deviates<kFirst>(memory)) __syncthreads();
  __syncwarp();
}

__global__ void ReturnBeforeCluster(unsigned*) {
  if (blockIdx.x == 1) return;
  ClusterSync();
}

__global__ void OtherBarrier(unsigned*) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads_or(1);
  }
}

__global__ void BarrierOrCluster(unsigned*) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    ClusterSync();
  }
}

__global__ void BeyondShared(unsigned*) {
  if (threadIdx.x == 5) SharedMemory()[4 * blockDim.x] = 1;
}

// Each thread hands a word to another one.
template <bool kSync>
__global__ void ThroughShared(unsigned* memory) {
  auto* shared = reinterpret_cast<unsigned*>(SharedMemory());
  shared[threadIdx.x] = threadIdx.x;
  if (kSync) __syncthreads();
  const unsigned read = shared[(threadIdx.x + 32) % blockDim.x];
  memory[blockIdx.x * blockDim.x + threadIdx.x] = read;
}

template <bool kSync>
__global__ void ThroughWarp(unsigned* memory) {
  auto* shared = reinterpret_cast<unsigned*>(SharedMemory());
  shared[threadIdx.x] = threadIdx.x;
  if (kSync) __syncwarp();
  memory[blockIdx.x * blockDim.x + threadIdx.x] = shared[threadIdx.x ^ 1];
}

// The second barrier that a loop needs, before the next round writes.
template <bool kSync>
__global__ void TwoRounds(unsigned* memory) {
  auto* shared = reinterpret_cast<unsigned*>(SharedMemory());
  for (unsigned round = 0; round < 2; ++round) {
    shared[threadIdx.x] = round;
    __syncthreads();
    memory[blockIdx.x * blockDim.x + threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
    if (kSync) __syncthreads();
  }
}

template <bool kSync>
__global__ void TwoRoundsOfWarp(unsigned* memory) {
  auto* shared = reinterpret_cast<unsigned*>(SharedMemory());
  for (unsigned round = 0; round < 2; ++round) {
    shared[threadIdx.x] = round;
    __syncwarp();
    memory[blockIdx.x * blockDim.x + threadIdx.x] = shared[threadIdx.x ^ 1];
    if (kSync) __syncwarp();
  }
}

__attribute__((noinline)) void FillLocal(volatile unsigned* words) {
  for (unsigned i = 0; i < 16; ++i) words[i] = i;
}

// Stacks are used again by threads of other blocks.
__global__ void OwnVariables(unsigned*) {
  unsigned words[16];
  FillLocal(words);
  __syncthreads();
  FillLocal(words);
}

template <bool kSync>
__global__ void ThroughCluster(unsigned* memory) {
  memory[blockIdx.x * blockDim.x + threadIdx.x] = threadIdx.x;
  if (kSync) {
    ClusterSync();
  } else {
    __syncthreads();
  }
  const unsigned other = memory[(blockIdx.x ^ 1) * blockDim.x + threadIdx.x];
  memory[(4 + blockIdx.x) * blockDim.x + threadIdx.x] = other;
}

// The last block reads what the others wrote.
template <bool kFence>
__global__ void LastBlock(unsigned* memory) {
  memory[1 + blockIdx.x * blockDim.x + threadIdx.x] = 1;
  if (kFence) __threadfence();
  __syncthreads();
  const bool last = threadIdx.x == 0 && atomicAdd(memory, 1) == gridDim.x - 1;
  if (!__syncthreads_or(last)) return;
  unsigned sum = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) sum += memory[1 + i * blockDim.x + threadIdx.x];
  memory[1 + gridDim.x * blockDim.x + threadIdx.x] = sum;
  if (threadIdx.x == 0) memory[0] = 0;
}

template <bool kAtomic>
__global__ void Count(unsigned* memory) {
  if (kAtomic) {
    atomicAdd(memory, 1);
  } else {
    *memory += 1;
  }
}

struct Case {
  const char* name;
  Kernel kernel;
  unsigned threads;
  const char* message;  // null: nothing is wrong
};

const Case kRefused[] = {
    {"another collective", OtherCollective, 64, "disagree"},
    {"another mask", OtherMask, 64, "disagree"},
    {"masks that overlap", OverlappingMask, 64, "disagree"},
    {"another width", OtherWidth, 64, "disagree"},
    {"a mask without the caller", MaskWithoutCaller, 64, "is without the calling lane"},
    {"a mask with a lane beyond the block", MaskBeyondBlock, 40, "does not exist"},
    {"a shuffle from outside of the mask", ReadOutsideMask, 64, "lane 15 reads from lane 16"},
    {"an odd width", OddWidth, 64, "the width 12"},
    {"a return, then a collective", ReturnWithinWarp<true>, 32, "has lane 3, which has returned"},
    {"a collective, then a return", ReturnWithinWarp<false>, 32, "lane 3 returned while lane"},
    {"a return, then a barrier", ReturnBeforeBarrier<true>, 64, "of those it waits for have returned"},
    {"a barrier, then a return", ReturnBeforeBarrier<false>, 64, "it returned while 63 threads wait"},
    {"a barrier, then a collective", BarrierWithinWarp<true>, 32, "has lane 3, which waits at __syncthreads"},
    {"a collective, then a barrier", BarrierWithinWarp<false>, 32, "lane 3 waits at a barrier while lane"},
    {"a return before the cluster's barrier", ReturnBeforeCluster, 64, "returned"},
    {"another barrier", OtherBarrier, 64, "others wait at __syncthreads"},
    {"a barrier of the block or of the cluster", BarrierOrCluster, 64, "deadlock"},
};

const Case kOverrun = {"beyond shared memory", BeyondShared, 64, "heap-buffer-overflow"};

const Case kRaces[] = {
    {"no barrier", ThroughShared<false>, 64, "data race"},
    {"a barrier", ThroughShared<true>, 64, nullptr},
    {"no __syncwarp", ThroughWarp<false>, 64, "data race"},
    {"a __syncwarp", ThroughWarp<true>, 64, nullptr},
    {"no barrier between rounds", TwoRounds<false>, 64, "data race"},
    {"barriers between rounds", TwoRounds<true>, 64, nullptr},
    {"no __syncwarp between rounds", TwoRoundsOfWarp<false>, 64, "data race"},
    {"a __syncwarp between rounds", TwoRoundsOfWarp<true>, 64, nullptr},
    {"variables of its own", OwnVariables, 64, nullptr},
    {"a block's barrier for a cluster", ThroughCluster<false>, 64, "data race"},
    {"a cluster's barrier", ThroughCluster<true>, 64, nullptr},
    {"no fence", LastBlock<false>, 64, "data race"},
    {"a fence", LastBlock<true>, 64, nullptr},
    {"a count that is not atomic", Count<false>, 1, "data race"},
    {"a count that is atomic", Count<true>, 1, nullptr},
};

// What a process of its own says on stderr, and how it ends.
int RunApart(const Case& test, uint64_t seed, std::string& output) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    static unsigned memory[1024];
    Launch({4, test.threads, 2, 4 * size_t{test.threads}, seed}, test.kernel, memory);
    std::exit(0);
  }
  close(ends[1]);
  char bytes[4096];
  for (ssize_t count; (count = read(ends[0], bytes, sizeof bytes)) > 0;)
    output.append(bytes, static_cast<size_t>(count));
  close(ends[0]);
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

void RunCase(const Case& test, bool aborts) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    std::string output;
    const int status = RunApart(test, seed, output);
    const bool succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool right = succeeded && output.empty();
    if (test.message != nullptr) {
      right = !succeeded && output.find(test.message) != std::string::npos;
      // That all wait in the end is what is left to say when nothing was noticed before.
      const bool late = output.find("deadlock") != std::string::npos && std::strcmp(test.message, "deadlock") != 0;
      if (aborts) right = right && !late && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    }
    if (right) continue;
    std::fprintf(stderr, "%s, seed %d: status %d, not \"%s\" but:\n%s\n", test.name, static_cast<int>(seed), status,
                 test.message != nullptr ? test.message : "", output.c_str());
    std::exit(1);
  }
}

}  // namespace

int main() {
  for (const Case& test : kRefused) RunCase(test, true);
  if (kAddressSanitizer) RunCase(kOverrun, false);
  for (const Case& test : kRaces) {
    if (kThreadSanitizer || test.message == nullptr) RunCase(test, false);
  }
  std::printf("ok\n");
}
