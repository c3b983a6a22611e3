// CUDA's barriers and the collectives of a warp. Each takes a last argument that callers leave out: where it is called.
#pragma once

#include <cstdint>
#include <cstring>

constexpr int warpSize = 32;

namespace nexttoken::emulation {

struct Place {
  const char* file;
  int line;
  static constexpr Place Here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

// What threads come together for; Name() in machine.cc knows their names.
enum class Meeting : uint8_t {
  kSyncWarp,
  kShuffle,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kAny,
  kAll,
  kMatchAny,
  kReduceAdd,
  kReduceMin,
  kReduceMax,
  kReduceOr,
  kReduceAnd,
  kSyncThreads,
  kSyncThreadsOr,
  kSyncThreadsAnd,
  kSyncThreadsCount,
  kClusterSync,
};

// The lane's result. `operand` is a shuffle's source lane, delta or lane mask.
uint64_t MeetWarp(Meeting meeting, unsigned mask, uint64_t value, int operand, int width, Place place);
int WaitForBlock(Meeting meeting, bool predicate, Place place);
void WaitForCluster(Place place);

template <class T>
T Shuffle(Meeting meeting, unsigned mask, T value, int operand, int width, Place place) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = MeetWarp(meeting, mask, bits, operand, width, place);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline unsigned MeetWarp(Meeting meeting, unsigned mask, unsigned value, Place place) {
  return static_cast<unsigned>(MeetWarp(meeting, mask, value, 0, warpSize, place));
}

// Swaps the order of signed and unsigned integers.
inline unsigned Biased(int value) {
  return static_cast<unsigned>(value) ^ 0x80000000u;
}

}  // namespace nexttoken::emulation

#define NEXTTOKEN_PLACE ::nexttoken::emulation::Place place = ::nexttoken::emulation::Place::Here()

inline void __syncthreads(NEXTTOKEN_PLACE) {
  nexttoken::emulation::WaitForBlock(nexttoken::emulation::Meeting::kSyncThreads, false, place);
}

inline int __syncthreads_or(int predicate, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::WaitForBlock(nexttoken::emulation::Meeting::kSyncThreadsOr, predicate != 0, place);
}

inline int __syncthreads_and(int predicate, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::WaitForBlock(nexttoken::emulation::Meeting::kSyncThreadsAnd, predicate != 0, place);
}

inline int __syncthreads_count(int predicate, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::WaitForBlock(nexttoken::emulation::Meeting::kSyncThreadsCount, predicate != 0, place);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, NEXTTOKEN_PLACE) {
  nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kSyncWarp, mask, 0, place);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = warpSize, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::Shuffle(nexttoken::emulation::Meeting::kShuffle, mask, value, lane, width, place);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::Shuffle(nexttoken::emulation::Meeting::kShuffleUp, mask, value, static_cast<int>(delta),
                                       width, place);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::Shuffle(nexttoken::emulation::Meeting::kShuffleDown, mask, value,
                                       static_cast<int>(delta), width, place);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::Shuffle(nexttoken::emulation::Meeting::kShuffleXor, mask, value, lane_mask, width,
                                       place);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kBallot, mask, predicate != 0, place);
}

inline int __any_sync(unsigned mask, int predicate, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kAny, mask, predicate != 0, place) != 0;
}

inline int __all_sync(unsigned mask, int predicate, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kAll, mask, predicate != 0, place) != 0;
}

template <class T>
unsigned __match_any_sync(unsigned mask, T value, NEXTTOKEN_PLACE) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return static_cast<unsigned>(
      nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kMatchAny, mask, bits, 0, warpSize, place));
}

inline unsigned __reduce_add_sync(unsigned mask, unsigned value, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kReduceAdd, mask, value, place);
}

inline unsigned __reduce_min_sync(unsigned mask, unsigned value, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kReduceMin, mask, value, place);
}

inline unsigned __reduce_max_sync(unsigned mask, unsigned value, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kReduceMax, mask, value, place);
}

inline unsigned __reduce_or_sync(unsigned mask, unsigned value, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kReduceOr, mask, value, place);
}

inline unsigned __reduce_and_sync(unsigned mask, unsigned value, NEXTTOKEN_PLACE) {
  return nexttoken::emulation::MeetWarp(nexttoken::emulation::Meeting::kReduceAnd, mask, value, place);
}

inline int __reduce_add_sync(unsigned mask, int value, NEXTTOKEN_PLACE) {
  return static_cast<int>(__reduce_add_sync(mask, static_cast<unsigned>(value), place));
}

inline int __reduce_min_sync(unsigned mask, int value, NEXTTOKEN_PLACE) {
  using nexttoken::emulation::Biased;
  return static_cast<int>(Biased(static_cast<int>(__reduce_min_sync(mask, Biased(value), place))));
}

inline int __reduce_max_sync(unsigned mask, int value, NEXTTOKEN_PLACE) {
  using nexttoken::emulation::Biased;
  return static_cast<int>(Biased(static_cast<int>(__reduce_max_sync(mask, Biased(value), place))));
}

#undef NEXTTOKEN_PLACE
