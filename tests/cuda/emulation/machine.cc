// Launches, and whose turn it is.
#include "emulation/machine.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

namespace nexttoken::emulation {

const Position* position = nullptr;
Machine* machine = nullptr;
Thread* current = nullptr;

namespace {

// All threads of a launch have returned; released by each.
char launch_order;
// All that has been fenced.
char fence_order;

void SetCurrent(Thread* thread) {
  current = thread;
  position = thread->position;
}

void PushBack(Thread* thread) {
  machine->ready[machine->ready_end++ & machine->ready_mask] = thread;
}

void PushFront(Thread* thread) {
  machine->ready[--machine->ready_begin & machine->ready_mask] = thread;
}

Thread* NextReady() {
  if (machine->ready_begin == machine->ready_end) return nullptr;
  return machine->ready[machine->ready_begin++ & machine->ready_mask];
}

void* Allocate(size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory != nullptr || bytes == 0) return memory;
  std::fprintf(stderr, "emulation: no memory for %zu bytes\n", bytes);
  std::abort();
}

void RunThread() {
  EnterFiber();
  machine->body(machine->context);
  Return();
}

// What a cluster is made of, and its memory.
struct Cluster {
  Machine machine;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<Block> blocks;
  std::vector<Warp*> warp_pointers;  // in the order of blocks
  std::vector<Warp*> cluster_warps;
  std::vector<Thread*> ready;
  std::vector<char*> shared;
};

void BuildBlock(Cluster& cluster, const LaunchShape& shape, unsigned index, uint3 block_index) {
  const unsigned warp_count = (shape.threads + 31) / 32;
  Block& block = cluster.blocks[index];
  block.barrier.warps = &cluster.warp_pointers[index * warp_count];
  block.barrier.warp_count = warp_count;
  block.barrier.size = shape.threads;
  // As large as asked for, so that AddressSanitizer knows its end.
  char* shared = static_cast<char*>(Allocate(shape.shared_bytes));
  std::memset(shared, 0xa5, shape.shared_bytes);
  cluster.shared[index] = shared;
  for (unsigned i = 0; i < shape.threads; ++i) {
    const unsigned number = index * shape.threads + i;
    Thread& thread = cluster.threads[number];
    Warp& warp = cluster.warps[index * warp_count + i / 32];
    thread.position = cluster.machine.positions + number;
    *thread.position = {{i, 0, 0}, block_index, dim3(shape.threads), shape.grid, shared, shape.shared_bytes};
    thread.block = &block;
    thread.warp = &warp;
    thread.lane = i % 32;
    if (thread.lane == 0) warp.lanes = &thread;
    warp.present |= Bit(thread.lane);
    char name[64] = "";
    if (kRaceDetection) std::snprintf(name, sizeof name, "block %u thread %u", block_index.x, i);
    CreateFiber(thread.fiber, StackAt(number), RunThread, name);
  }
}

void RunCluster(const LaunchShape& shape, uint3 first_block, uint64_t seed, void (*body)(void*), void* context) {
  const unsigned thread_count = shape.cluster * shape.threads;
  const unsigned warp_count = shape.cluster * ((shape.threads + 31) / 32);
  auto cluster = std::make_unique<Cluster>();
  cluster->threads.resize(thread_count);
  cluster->warps.resize(warp_count);
  cluster->blocks.resize(shape.cluster);
  cluster->shared.resize(shape.cluster);
  for (Warp& warp : cluster->warps) cluster->warp_pointers.push_back(&warp);
  cluster->cluster_warps = cluster->warp_pointers;
  unsigned ring = 1;
  while (ring < thread_count) ring *= 2;
  cluster->ready.resize(ring);

  Machine& state = cluster->machine;
  state.barrier.warps = cluster->cluster_warps.data();
  state.barrier.warp_count = warp_count;
  state.barrier.size = thread_count;
  state.threads = cluster->threads.data();
  state.thread_count = thread_count;
  state.positions = static_cast<Position*>(Allocate(thread_count * sizeof(Position)));
  state.shared = cluster->shared.data();
  state.block_count = shape.cluster;
  state.body = body;
  state.context = context;
  state.ready = cluster->ready.data();
  state.ready_mask = ring - 1;
  state.random = seed;
  machine = &state;

  ReserveStacks(thread_count);
  AdoptFiber(state.host);
  for (unsigned i = 0; i < shape.cluster; ++i) {
    BuildBlock(*cluster, shape, i, {first_block.x + i, first_block.y, first_block.z});
  }
  WakeWarps(state.barrier.warps, warp_count);
  Thread* first = NextReady();
  SetCurrent(first);
  SwitchFiber(state.host, first->fiber, false);
  for (Thread& thread : cluster->threads) DestroyFiber(thread.fiber);
  machine = nullptr;
  current = nullptr;
  position = nullptr;
}

void RequireShape(const LaunchShape& shape) {
  const char* wrong = nullptr;
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) wrong = "a grid has at least one block";
  if (shape.threads < 1 || shape.threads > 1024) wrong = "a block has 1 to 1024 threads";
  if (shape.cluster > 16) wrong = "a cluster has at most 16 blocks";
  if (shape.cluster < 1 || shape.grid.x % shape.cluster != 0) wrong = "a cluster's size divides grid.x";
  if (wrong == nullptr) return;
  std::fprintf(stderr, "emulation: launch of %u x %u x %u blocks of %u threads in clusters of %u: %s\n", shape.grid.x,
               shape.grid.y, shape.grid.z, shape.threads, shape.cluster, wrong);
  std::abort();
}

}  // namespace

void LaunchThreads(const LaunchShape& shape, void (*body)(void*), void* context) {
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  RequireShape(shape);
  uint64_t random = shape.seed;
  std::vector<uint3> clusters;
  for (unsigned z = 0; z < shape.grid.z; ++z) {
    for (unsigned y = 0; y < shape.grid.y; ++y) {
      for (unsigned x = 0; x < shape.grid.x; x += shape.cluster) clusters.push_back({x, y, z});
    }
  }
  for (size_t i = clusters.size(); i > 1; --i) {
    std::swap(clusters[i - 1], clusters[RandomBelow(random, static_cast<unsigned>(i))]);
  }
  for (const uint3& first : clusters) RunCluster(shape, first, Random(random), body, context);
  Acquire(&launch_order);
}

void WakeLanes(Warp* warp, unsigned lanes, bool at_once) {
  // A random permutation of 32 for one random number: lane -> (factor * lane + addend) ^ flip.
  const uint64_t random = Random(machine->random);
  const auto factor = static_cast<unsigned>(random >> 32) | 1;
  const auto addend = static_cast<unsigned>(random >> 16);
  const auto flip = static_cast<unsigned>(random >> 8) % 32;
  const bool front = at_once && random % 4 != 0;
  for (unsigned i = 0; i < 32; ++i) {
    const unsigned lane = ((factor * i + addend) % 32) ^ flip;
    if ((lanes & Bit(lane)) == 0) continue;
    if (front) {
      PushFront(warp->lanes + lane);
    } else {
      PushBack(warp->lanes + lane);
    }
  }
}

void WakeWarps(Warp** warps, unsigned count) {
  for (unsigned i = count; i > 1; --i) {
    const unsigned other = RandomBelow(machine->random, i);
    Warp* warp = warps[other];
    warps[other] = warps[i - 1];
    warps[i - 1] = warp;
  }
  for (unsigned i = 0; i < count; ++i) {
    warps[i]->waiting = 0;
    WakeLanes(warps[i], warps[i]->present, false);
  }
}

void Suspend() {
  Thread* self = current;
  Thread* next = NextReady();
  if (next == nullptr) FailDeadlock();
  if (next == self) return;
  SetCurrent(next);
  SwitchFiber(self->fiber, next->fiber, false);
}

void Return() {
  Thread* self = current;
  RequireUnawaited(self, "returned");
  ReturnToBarriers(self);
  self->warp->present &= ~Bit(self->lane);
  Release(&machine->order);
  Release(&launch_order);
  if (++machine->returned == machine->thread_count) {
    // Not by the host, which must not come to know in which order clusters run.
    Acquire(&machine->order);
    for (unsigned i = 0; i < machine->block_count; ++i) std::free(machine->shared[i]);
    std::free(machine->positions);
    SwitchFiber(self->fiber, machine->host, true);
  }
  Thread* next = NextReady();
  if (next == nullptr) FailDeadlock();
  SetCurrent(next);
  SwitchFiber(self->fiber, next->fiber, true);
  std::abort();  // nobody comes back
}

bool BeginAtomic(const void* address) {
  Thread* self = current;
  // Seldom, so that threads which wait for others' atomics get on, and atomics of different warps meet in many orders.
  if (Random(machine->random) % 16 == 0) {
    PushBack(self);
    Suspend();
  }
  if (self->fenced == Fenced::kNo) return false;
  const char* shared = self->position->shared;
  const auto* byte = static_cast<const char*>(address);
  const bool is_shared = byte >= shared && byte < shared + self->position->shared_bytes;
  if (self->fenced == Fenced::kBlock && !is_shared) return false;
  self->published = true;
  return true;
}

void FenceBlock() {
  Release(&current->block->fence);
  Acquire(&current->block->fence);
  if (current->fenced == Fenced::kNo) current->fenced = Fenced::kBlock;
}

void FenceDevice() {
  FenceBlock();
  Release(&fence_order);
  Acquire(&fence_order);
  current->fenced = Fenced::kDevice;
}

}  // namespace nexttoken::emulation
