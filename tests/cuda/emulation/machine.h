// What the emulation keeps of the cluster that runs. Its sources are compiled without ThreadSanitizer, which would
// take this for memory that threads share unordered; templates of the standard library, which the linker may take from
// other objects, are therefore kept out of what fibers run.
#pragma once

#include <cstddef>
#include <cstdint>

#include "emulation/block.h"
#include "emulation/fiber.h"

namespace nexttoken::emulation {

struct Block;
struct Thread;

enum class Fenced : uint8_t { kNo, kBlock, kDevice };

struct Warp {
  Thread* lanes = nullptr;
  Block* block = nullptr;
  unsigned present = 0;  // lanes that have not returned
  unsigned meeting = 0;  // lanes that wait in a collective
  unsigned waiting = 0;  // lanes that wait at a barrier
  uint64_t value[32];
  uint64_t result[32];
  // By a mask's lowest lane. Two objects in turn: a lane may come to the next collective, and release, before others
  // have left this one.
  uint8_t turn[32] = {};
  char order[2][32];
};

// Of a block or of a cluster.
struct Barrier {
  Warp** warps = nullptr;  // of those who wait; shuffled each time
  unsigned warp_count = 0;
  unsigned size = 0;
  unsigned arrived = 0;
  unsigned returned = 0;
  unsigned count = 0;  // predicates that are true
  Thread* first = nullptr;
  uint8_t turn = 0;
  int result[2] = {};
  char order[2];
};

struct Block {
  Barrier barrier;
  char fence;
};

struct Thread {
  Position* position = nullptr;
  Fiber fiber;
  Block* block = nullptr;
  Warp* warp = nullptr;
  unsigned lane = 0;
  // Where it waits.
  Meeting meeting = Meeting::kSyncWarp;
  unsigned mask = 0;
  int operand = 0;
  int width = 0;
  Place place = {};
  // Since its last fence; `published` by an atomic.
  Fenced fenced = Fenced::kNo;
  bool published = false;
};

struct Machine {
  Fiber host;
  Barrier barrier;  // the cluster's
  char order = 0;   // all threads of the cluster have returned
  Thread* threads = nullptr;
  unsigned thread_count = 0;
  unsigned returned = 0;
  Position* positions = nullptr;
  char** shared = nullptr;  // per block
  unsigned block_count = 0;
  void (*body)(void*) = nullptr;
  void* context = nullptr;
  // Threads that can go on, a ring; each is in it at most once.
  Thread** ready = nullptr;
  unsigned ready_mask = 0;
  unsigned ready_begin = 0;
  unsigned ready_end = 0;
  uint64_t random = 0;
};

extern Machine* machine;
extern Thread* current;

inline unsigned Bit(unsigned lane) {
  return 1u << lane;
}

// Steele, Lea and Flood's SplitMix64.
inline uint64_t Random(uint64_t& state) {
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

inline unsigned RandomBelow(uint64_t& state, unsigned bound) {
  return static_cast<unsigned>(((Random(state) >> 32) * bound) >> 32);
}

// Makes lanes of a warp ready, in random order: after all others, or, usually, before them, while the warp is in cache.
void WakeLanes(Warp* warp, unsigned lanes, bool at_once);
// Makes all warps ready, in random order.
void WakeWarps(Warp** warps, unsigned count);
// Lets others run. The caller goes on once somebody has made it ready.
void Suspend();
// Takes the place of Suspend when the caller has ended.
[[noreturn]] void Return();

// Before `thread` waits at a barrier or returns (`what`): no lane may wait for it in a collective.
void RequireUnawaited(const Thread* thread, const char* what);
// Before `thread` returns: nobody may wait for it at a barrier.
void ReturnToBarriers(Thread* thread);

const char* Name(Meeting meeting);
// A sentence about `thread`, with where it last waited or began to, and the end of the program.
[[noreturn]] __attribute__((format(printf, 2, 3))) void Fail(const Thread* thread, const char* format, ...);
[[noreturn]] void FailDeadlock();

}  // namespace nexttoken::emulation
