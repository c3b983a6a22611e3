// Small kernels whose results are known, for many seeds: the emulation does what CUDA does.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

#include "emulation/block.h"

namespace {

using namespace nexttoken;
using emulation::Launch;
using emulation::LaunchShape;

constexpr unsigned kFull = 0xffffffffu;

// To ThreadSanitizer every emulated thread is a real one, which takes it a while.
#if defined(NEXTTOKEN_EMULATION_TSAN)
constexpr uint64_t kSeeds = 2;
#else
constexpr uint64_t kSeeds = 50;
#endif

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

__device__ unsigned ReduceBlock(unsigned value, unsigned* scratch) {
  for (int delta = 16; delta > 0; delta /= 2) value += __shfl_down_sync(kFull, value, delta);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  unsigned sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += scratch[warp];
  __syncthreads();
  return sum;
}

// Inclusive sums over the block.
__global__ void Scan(const unsigned* in, unsigned* out) {
  auto* totals = reinterpret_cast<unsigned*>(SharedMemory());
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  unsigned value = in[threadIdx.x];
  for (unsigned delta = 1; delta < 32; delta *= 2) {
    const unsigned below = __shfl_up_sync(kFull, value, delta);
    if (lane >= delta) value += below;
  }
  if (lane == 31) totals[warp] = value;
  __syncthreads();
  for (unsigned w = 0; w < warp; ++w) value += totals[w];
  out[threadIdx.x] = value;
}

// The block that comes last adds what all blocks have left, and makes the counter ready for the next launch.
__global__ void SumGrid(const unsigned* in, unsigned* partial, unsigned* counter, unsigned* sum) {
  auto* scratch = reinterpret_cast<unsigned*>(SharedMemory());
  const unsigned value = ReduceBlock(in[blockIdx.x * blockDim.x + threadIdx.x], scratch);
  bool last = false;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = value;
    __threadfence();
    last = atomicAdd(counter, 1) == gridDim.x - 1;
  }
  if (!__syncthreads_or(last)) return;
  const unsigned total = ReduceBlock(threadIdx.x < gridDim.x ? partial[threadIdx.x] : 0, scratch);
  if (threadIdx.x == 0) {
    *sum = total;
    *counter = 0;
  }
}

// Each block reads what the others of its cluster wrote.
__global__ void Exchange(unsigned cluster, uint64_t* memory, uint64_t* out) {
  const unsigned rank = blockIdx.x % cluster;
  const unsigned begin = blockIdx.x - rank;
  for (unsigned round = 0; round < 3; ++round) {
    memory[blockIdx.x * blockDim.x + threadIdx.x] = (uint64_t{round} << 32) + blockIdx.x * blockDim.x + threadIdx.x;
    ClusterSync();
    uint64_t sum = 0;
    for (unsigned r = 0; r < cluster; ++r) sum += memory[(begin + r) * blockDim.x + (threadIdx.x + round) % blockDim.x];
    out[(round * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x] = sum;
    ClusterSync();
  }
}

// Blocks of a cluster wait for each other without a barrier.
__global__ void Relay(unsigned* turn, unsigned* out) {
  while (atomicAdd(turn, 0) != blockIdx.x) {
  }
  __threadfence();
  *out = *out * 10 + blockIdx.x;
  __threadfence();
  atomicAdd(turn, 1);
}

__global__ void Atomics(unsigned* words, unsigned long long* longs, float* total, int* extremes) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(&words[0], i);
  atomicOr(&words[1], 1u << (i % 32));
  atomicAnd(&words[2], ~(1u << (i % 32)));
  atomicAdd(&longs[0], 1ull << 33);
  atomicMax(&longs[1], (1ull << 40) + i);
  atomicMin(&extremes[0], -static_cast<int>(i));
  atomicMax(&extremes[1], static_cast<int>(i));
  atomicAdd(total, 0.5f);
  const unsigned seen = atomicExch(&words[4 + i], 5);
  if (atomicCAS(&words[4 + i], 5, seen + 1) != 5) words[4 + i] = 0;
}

// Everything a warp does together, against plain loops over what the lanes hold. Returns the first that is wrong.
__global__ void Collectives(const uint64_t* held, int* wrong) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const uint64_t* h = held + threadIdx.x / 32 * 32;
  const uint64_t mine = h[lane];
  const auto word = static_cast<unsigned>(mine >> 7);
  const auto number = static_cast<int>(word);
  const float real = static_cast<float>(mine % 1000);
  int bad = 0;
  const auto check = [&](int what, bool right) {
    if (!right && bad == 0) bad = what;
  };
  for (int width = 1; width <= 32; width *= 2) {
    const int begin = lane & ~(width - 1);
    check(1, __shfl_sync(kFull, mine, 5, width) == h[begin + 5 % width]);
    check(2, __shfl_up_sync(kFull, mine, 3, width) == h[lane - begin >= 3 ? lane - 3 : lane]);
    check(3, __shfl_down_sync(kFull, mine, 3, width) == h[lane - begin + 3 < width ? lane + 3 : lane]);
    check(4, __shfl_xor_sync(kFull, mine, 4, width) == h[(lane ^ 4) < begin + width ? lane ^ 4 : lane]);
  }
  check(5, __shfl_sync(kFull, real, lane + 1) == static_cast<float>(h[(lane + 1) % 32] % 1000));
  check(6, __shfl_xor_sync(kFull, static_cast<double>(real), 31) == static_cast<double>(h[31 - lane] % 1000));
  check(7, __shfl_sync(kFull, number, 0) == static_cast<int>(static_cast<unsigned>(h[0] >> 7)));
  unsigned ballot = 0, equal = 0, sum = 0, low = kFull, high = 0, any = 0, all = kFull;
  int least = number, most = number;
  for (int i = 0; i < 32; ++i) {
    const auto w = static_cast<unsigned>(h[i] >> 7);
    if (h[i] % 3 == 0) ballot |= 1u << i;
    if (h[i] % 5 == mine % 5) equal |= 1u << i;
    sum += w, low = w < low ? w : low, high = w > high ? w : high, any |= w, all &= w;
    least = static_cast<int>(w) < least ? static_cast<int>(w) : least;
    most = static_cast<int>(w) > most ? static_cast<int>(w) : most;
  }
  check(8, __ballot_sync(kFull, mine % 3 == 0) == ballot);
  check(9, __match_any_sync(kFull, mine % 5) == equal);
  check(10, __any_sync(kFull, mine % 3 == 0) == (ballot != 0));
  check(11, __all_sync(kFull, mine % 3 == 0) == 0 && __all_sync(kFull, lane < 32) == 1);
  check(12, __reduce_add_sync(kFull, word) == sum && __reduce_add_sync(kFull, number) == static_cast<int>(sum));
  check(13, __reduce_min_sync(kFull, word) == low && __reduce_max_sync(kFull, word) == high);
  check(14, __reduce_min_sync(kFull, number) == least && __reduce_max_sync(kFull, number) == most);
  check(15, __reduce_or_sync(kFull, word) == any && __reduce_and_sync(kFull, word) == all);
  // Both halves of a warp at once, each at its own.
  if (lane < 16) {
    check(16, __shfl_xor_sync(0xffffu, mine, 15) == h[15 - lane]);
    __syncwarp(0xffffu);
    check(17, __ballot_sync(0xffffu, mine % 3 == 0) == (ballot & 0xffffu));
  } else {
    check(18, __ballot_sync(0xffff0000u, mine % 3 == 0) == (ballot & 0xffff0000u));
  }
  check(19, __syncthreads_count(lane < 3) == 3 * static_cast<int>(blockDim.x / 32));
  check(20, __syncthreads_and(1) == 1);
  check(21, __syncthreads_and(threadIdx.x != 0) == 0);
  check(22, __syncthreads_or(threadIdx.x == 1) == 1);
  check(23, __syncthreads_or(0) == 0);
  if (bad != 0) atomicMax(wrong, bad);
}

// Threads take places in the order in which they come.
__global__ void Race(unsigned* places, unsigned* counter) {
  places[threadIdx.x] = atomicAdd(counter, 1);
}

__global__ void LookAtShared(int* wrong) {
  for (unsigned i = 0; i < 100; ++i) {
    if (static_cast<unsigned char>(SharedMemory()[i]) != 0xa5) atomicExch(wrong, 1);
  }
  if (reinterpret_cast<uintptr_t>(SharedMemory()) % 16 != 0) atomicExch(wrong, 2);
}

__global__ void SwitchOften(int rounds) {
  for (int i = 0; i < rounds; ++i) __syncwarp();
}

uint32_t Next(uint32_t& state) {
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

std::vector<unsigned> Words(size_t count) {
  std::vector<unsigned> words(count);
  uint32_t state = 1;
  for (unsigned& word : words) word = Next(state) >> 8;
  return words;
}

void TestBlocks(uint64_t seed) {
  const std::vector<unsigned> in = Words(37 * 96);
  std::vector<unsigned> out(96);
  Launch({1, 96, 1, 12, seed}, Scan, in.data(), out.data());
  unsigned sum = 0;
  for (size_t i = 0; i < out.size(); ++i) Require(out[i] == (sum += in[i]), "scan");

  unsigned total = 0, counter = 0;
  for (unsigned word : in) total += word;
  std::vector<unsigned> partial(37);
  for (int twice = 0; twice < 2; ++twice) {
    sum = 0;
    Launch({37, 96, 1, 12, seed}, SumGrid, in.data(), partial.data(), &counter, &sum);
    Require(sum == total && counter == 0, "last block done");
  }

  std::vector<uint64_t> held(128);
  uint32_t state = static_cast<uint32_t>(seed) + 1;
  for (uint64_t& h : held) h = (uint64_t{Next(state)} << 32) + Next(state);
  int wrong = 0;
  Launch({3, 128, 1, 0, seed}, Collectives, held.data(), &wrong);
  if (wrong != 0) std::fprintf(stderr, "check %d: ", wrong);
  Require(wrong == 0, "collectives");
  Launch({dim3(2, 2), 40, 1, 100, seed}, LookAtShared, &wrong);
  Require(wrong == 0, "shared memory");
}

void TestClusters(uint64_t seed) {
  constexpr unsigned kBlocks = 12, kThreads = 64, kCluster = 4;
  std::vector<uint64_t> memory(kBlocks * kThreads), out(3 * memory.size());
  Launch({kBlocks, kThreads, kCluster, 0, seed}, Exchange, kCluster, memory.data(), out.data());
  for (size_t i = 0; i < out.size(); ++i) {
    const uint64_t round = i / memory.size(), block = i / kThreads % kBlocks, thread = (i + round) % kThreads;
    uint64_t sum = 0;
    for (uint64_t r = 0; r < kCluster; ++r) {
      sum += (round << 32) + (block / kCluster * kCluster + r) * kThreads + thread;
    }
    Require(out[i] == sum, "exchange in a cluster");
  }
  unsigned turn = 0, digits = 0;
  Launch({8, 1, 8, 0, seed}, Relay, &turn, &digits);
  Require(digits == 1234567, "blocks that wait for each other");
}

void TestAtomics(uint64_t seed) {
  constexpr unsigned kCount = 3 * 64;
  std::vector<unsigned> words(4 + kCount, 0);
  words[2] = kFull;
  unsigned long long longs[2] = {};
  float total = 0;
  int extremes[2] = {};
  Launch({3, 64, 1, 0, seed}, Atomics, words.data(), longs, &total, extremes);
  Require(words[0] == kCount * (kCount - 1) / 2 && words[1] == kFull && words[2] == 0, "atomics of words");
  Require(longs[0] == (uint64_t{kCount} << 33) && longs[1] == (1ull << 40) + kCount - 1, "atomics of long words");
  Require(total == kCount / 2 && extremes[0] == 1 - static_cast<int>(kCount) && extremes[1] == kCount - 1, "extremes");
  for (unsigned i = 0; i < kCount; ++i) Require(words[4 + i] == 1, "exchange");
}

// Who comes first differs between seeds, among warps and among lanes, and is the same again for the same seed.
void TestOrder() {
  std::set<std::vector<unsigned>> orders;
  int first_warp = 0, first_lane = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<unsigned> places[2];
    for (std::vector<unsigned>& p : places) {
      p.resize(64);
      unsigned counter = 0;
      Launch({1, 64, 1, 0, seed}, Race, p.data(), &counter);
    }
    Require(places[0] == places[1], "one seed, two orders");
    orders.insert(places[0]);
    first_warp += places[0][0] < places[0][32];
    first_lane += places[0][0] < places[0][1];
  }
  Require(orders.size() == 20, "seeds do not change the order");
  Require(first_warp > 4 && first_warp < 16, "one warp is mostly first");
  Require(first_lane > 4 && first_lane < 16, "one lane is mostly first");
}

void TimeSwitches() {
  constexpr int kRounds = 2000;
  constexpr unsigned kThreads = 1024;
  const auto begin = std::chrono::steady_clock::now();
  Launch({1, kThreads, 1, 0, 0}, SwitchOften, kRounds);
  const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - begin;
  std::printf("%.1f ns for a thread to wait and go on\n", time.count() / kRounds / kThreads);
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 2 && std::strcmp(arguments[1], "time") == 0) {
    TimeSwitches();
    return 0;
  }
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    TestBlocks(seed);
    TestClusters(seed);
    TestAtomics(seed);
  }
  TestOrder();
  std::printf("ok\n");
}
