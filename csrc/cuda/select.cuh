// Steps 10 and 11 of the sampling contract: the token at which a set in rank order is large enough, exactly.
//
// Ranks are all different, so there are no ties to break. A window of ranks is divided into bins; the bin in which the
// measure reaches what is needed is the next window, until it holds a warp's worth of tokens.
#pragma once

#include <cstdint>

#include "block/sums.cuh"
#include "row_memory.cuh"

namespace nexttoken {

enum class By { kCount, kMass };

__device__ __forceinline__ uint64_t Of(const Measure& measure, By by) {
  return by == By::kCount ? measure.count : measure.mass;
}

// The prefix of the ranks that ends with `last`.
struct Prefix {
  uint64_t last;
  Measure through;  // of all of it
};

struct SelectMemory {
  SelectBin* bins;    // [kSelectBins]
  Entry* few;         // [kFew]
  uint64_t* scratch;  // [8]
  uint32_t* counts;   // [1]
};

// Where a bin stands: those that one lane of FindBin adds up are a warp apart, and no two lanes read one bank.
constexpr int kBinsPerLane = kSelectBins / kWarpSize;
__device__ __forceinline__ int SlotOfBin(int bin) {
  return bin % kBinsPerLane * kWarpSize + bin / kBinsPerLane;
}

// All lanes of the warp together. Where all that count go to one bin, which equal logits do, one lane adds for them.
__device__ __noinline__ inline void AddToBin(SelectBin* bins, bool counts, int bin, uint64_t mass) {
  const unsigned active = __ballot_sync(kAllLanes, counts);
  if (!active) return;
  const int leader = __ffs(static_cast<int>(active)) - 1;
  const int its_bin = __shfl_sync(kAllLanes, bin, leader);
  if (__all_sync(kAllLanes, !counts || bin == its_bin)) {
    const uint64_t sum = WarpSum(counts ? mass : 0);
    if (Lane() != leader) return;
    AddShared(&bins[SlotOfBin(its_bin)].mass, sum);
    atomicAdd(&bins[SlotOfBin(its_bin)].count, static_cast<unsigned>(__popc(active)));
  } else if (counts) {
    AddShared(&bins[SlotOfBin(bin)].mass, mass);
    atomicAdd(&bins[SlotOfBin(bin)].count, 1u);
  }
}

// The bin, counted from the top, in which `before` and what the bins hold reach `need`. By one warp; the same for all
// lanes. The caller knows that they do.
__device__ __noinline__ inline int FindBin(const SelectBin* bins, By by, uint64_t need, Measure* before) {
  Measure mine{};
#pragma unroll 1
  for (int i = 0; i < kBinsPerLane; ++i) {
    const SelectBin& bin = bins[SlotOfBin(Lane() * kBinsPerLane + i)];
    mine = mine + Measure{bin.mass, bin.count};
  }
  const Measure through = *before + WarpRunningSum(mine);
  const unsigned reached = __ballot_sync(kAllLanes, Of(through, by) >= need);
  const int lane = reached ? __ffs(static_cast<int>(reached)) - 1 : kWarpSize - 1;
  Measure at = *before;
  if (lane > 0) {
    at.mass = __shfl_sync(kAllLanes, static_cast<unsigned long long>(through.mass), lane - 1);
    at.count = __shfl_sync(kAllLanes, static_cast<unsigned long long>(through.count), lane - 1);
  }
  int bin = lane * kBinsPerLane;
#pragma unroll 1
  for (;; ++bin) {
    const SelectBin& its = bins[SlotOfBin(bin)];
    const Measure next = at + Measure{its.mass, its.count};
    if (Of(next, by) >= need || bin % kBinsPerLane == kBinsPerLane - 1) break;
    at = next;
  }
  *before = at;
  return bin;
}

// Among at most a warp's worth of entries. By one warp; the same for all lanes.
__device__ __noinline__ inline Prefix SelectAmongFew(const Entry* few, int count, const Weigher& weigh, By by,
                                                     uint64_t need, const Measure& before) {
  const bool is_entry = Lane() < count;
  const Entry entry = is_entry ? few[Lane()] : Entry{0.0f, 0};
  const uint64_t rank = is_entry ? RankOf(entry.z, entry.token) : 0;
  const Measure mine = is_entry ? Measure{weigh(entry.z), 1} : Measure{};
  Measure through = before;
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    const uint64_t other = __shfl_sync(kAllLanes, static_cast<unsigned long long>(rank), i);
    const uint64_t mass = __shfl_sync(kAllLanes, static_cast<unsigned long long>(mine.mass), i);
    if (other >= rank) through = through + Measure{mass, 1};
  }
  const bool is_last = is_entry && Of(through, by) >= need && Of(through, by) - Of(mine, by) < need;
  const unsigned found = __ballot_sync(kAllLanes, is_last);
  const int lane = found ? __ffs(static_cast<int>(found)) - 1 : 0;
  Prefix prefix;
  prefix.last = __shfl_sync(kAllLanes, static_cast<unsigned long long>(rank), lane);
  prefix.through.mass = __shfl_sync(kAllLanes, static_cast<unsigned long long>(through.mass), lane);
  prefix.through.count = __shfl_sync(kAllLanes, static_cast<unsigned long long>(through.count), lane);
  return prefix;
}

// The shortest prefix, in rank order, whose measure reaches `need`, where `before` is the measure of what ranks above
// the source's tokens in [low, high]. Preconditions: before < need <= before + the measure of those. `at_most` is a
// bound of how many they are. By one block; the same for all threads.
template <class Source>
__device__ __noinline__ Prefix Select(const Source& source, const Weigher& weigh, By by, uint64_t need, Measure before,
                                      uint64_t low, uint64_t high, uint32_t at_most, const SelectMemory& memory) {
  while (at_most > kFew && low < high) {
#pragma unroll 1
    for (int bin = Block::Rank(); bin < kSelectBins; bin += Block::Size()) memory.bins[bin] = {};
    Block::Sync();
    const int bits = 64 - __clzll(static_cast<long long>(high - low));
    const int shift = bits > 8 ? bits - 8 : 0;
    source.ForEach(low, [&](bool is_token, float z, int32_t token) {
      const uint64_t rank = RankOf(z, token);
      const bool counts = is_token && rank >= low && rank <= high;
      AddToBin(memory.bins, counts, counts ? static_cast<int>((high - rank) >> shift) : 0, counts ? weigh(z) : 0);
    });
    Block::Sync();
    const int bin = FindBin(memory.bins, by, need, &before);
    at_most = memory.bins[SlotOfBin(bin)].count;
    high -= static_cast<uint64_t>(bin) << shift;
    const uint64_t lowest = high - ((uint64_t{1} << shift) - 1);
    if (lowest > low && lowest <= high) low = lowest;
    Block::Sync();
  }
  if (Block::Rank() == 0) memory.counts[0] = 0;
  Block::Sync();
  source.ForEach(low, [&](bool is_token, float z, int32_t token) {
    const uint64_t rank = RankOf(z, token);
    if (!is_token || rank < low || rank > high) return;
    const unsigned at = atomicAdd(&memory.counts[0], 1u);
    if (at < kFew) memory.few[at] = {z, token};
  });
  Block::Sync();
  const auto count = static_cast<int>(memory.counts[0]);
  const Prefix prefix = SelectAmongFew(memory.few, count < kFew ? count : kFew, weigh, by, need, before);
  Block::Sync();
  return prefix;
}

}  // namespace nexttoken
