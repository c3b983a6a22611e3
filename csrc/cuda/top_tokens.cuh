// Step 13 of the sampling contract: the best tokens by (logit descending, id ascending).
#pragma once

#include <cstdint>

#include "cut_row.cuh"
#include "plan_row.cuh"

namespace nexttoken {

// What of a source may be listed: ranks in [low, high]. Those of probability 0 never are.
struct TopWindow {
  uint64_t low;
  uint64_t high;
};

// Of the caller's own logits. Beside a +inf every finite logit has probability 0.
__device__ inline TopWindow RawWindow(const RowState& state) {
  const float largest_finite = 0x1.fffffep127f;
  const float possible = state.raw_max > largest_finite ? state.raw_max : -largest_finite;
  return {LowestRank(possible), HighestRank(state.raw_max)};
}

__device__ inline TopWindow ProcessedWindow(const RowState& state) {
  if (state.is_greedy) return {LowestRank(-0x1.fffffep127f), HighestRank(state.weigh.max)};
  const uint64_t weighs = LowestRank(fmaxf(state.floor, LowestWithWeight(state.weigh, 1)));
  return {state.last > weighs ? state.last : weighs, HighestRank(state.weigh.max)};
}

// The `wanted` best of the source, which are at most kFew, in order, as the first lanes of every warp hold them.
// Returns how many there are. By one block.
template <DType kDType>
__device__ __noinline__ int FindTop(const RowSource<kDType>& source, const Weigher& weigh, TopWindow window, int wanted,
                                    const SelectMemory& memory, Entry* mine) {
  const auto need = static_cast<uint64_t>(wanted);
  // So many chunks have a maximum at some logit or above it, hence so many tokens: only such chunks are looked at.
  const MaximaSource<RowSource<kDType>> maxima = {&source};
  const Measure chunks = MeasureOf(maxima, weigh, window.low, window.high, memory.scratch);
  if (chunks.count >= need) {
    const Prefix best = Select(maxima, weigh, By::kCount, need, Measure{}, window.low, window.high,
                               static_cast<uint32_t>(chunks.count), memory);
    const uint64_t bound = LowestRank(LogitOfRank(best.last));
    if (bound > window.low) window.low = bound;
  }
  const Measure all = MeasureOf(source, weigh, window.low, window.high, memory.scratch);
  if (all.count > need) {
    window.low = Select(source, weigh, By::kCount, need, Measure{}, window.low, window.high,
                        static_cast<uint32_t>(all.count), memory)
                     .last;
  }
  const int count = static_cast<int>(all.count < need ? all.count : need);
  if (Block::Rank() == 0) memory.counts[0] = 0;
  Block::Sync();
  source.ForEach(window.low, [&](bool is_token, float z, int32_t token) {
    const uint64_t rank = RankOf(z, token);
    if (is_token && rank >= window.low && rank <= window.high)
      memory.few[atomicAdd(&memory.counts[0], 1u)] = {z, token};
  });
  Block::Sync();
  const bool is_entry = Lane() < count;
  const Entry entry = is_entry ? memory.few[Lane()] : Entry{0.0f, 0};
  const uint64_t rank = is_entry ? RankOf(entry.z, entry.token) : 0;
  int better = 0;
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    better += __shfl_sync(kAllLanes, static_cast<unsigned long long>(rank), i) > rank ? 1 : 0;
  }
  Block::Sync();
  if (is_entry && Block::WarpIndex() == 0) memory.few[better] = entry;
  Block::Sync();
  *mine = is_entry ? memory.few[Lane()] : Entry{0.0f, 0};
  Block::Sync();
  return count;
}

}  // namespace nexttoken
