// Between the looks at a row: its maximum, its state where nothing can be drawn, and which of its tokens are worth
// listing.
#pragma once

#include <cstdint>

#include "bracket.cuh"
#include "nexttoken/filter.h"
#include "read_tile.cuh"

namespace nexttoken {

// The lowest logit whose weight is at least `threshold`, which is at most the maximum's. One warp, each lane trying
// another place.
__device__ __noinline__ inline float LowestWithWeight(const Weigher& weigh, uint64_t threshold) {
  uint32_t low = OrderKey(-0x1.fffffep127f);
  uint32_t high = OrderKey(weigh.max);  // weighs enough
#pragma unroll 1
  while (low < high) {
    const uint32_t step = (high - low) / kWarpSize + 1;
    const uint64_t tried = uint64_t{low} + uint64_t{step} * static_cast<uint32_t>(Lane());
    const uint32_t key = tried < high ? static_cast<uint32_t>(tried) : high;
    const unsigned enough = __ballot_sync(kAllLanes, weigh(FloatOfKey(key)) >= threshold);
    // Lane i fails and lane i + 1 passes: the answer is above the one and at most the other.
    const int first = __ffs(static_cast<int>(enough)) - 1;  // the last lane may fail: then it is above its key
    const uint32_t top = __shfl_sync(kAllLanes, key, first < 0 ? kWarpSize - 1 : first);
    const uint32_t bottom = __shfl_sync(kAllLanes, key, first < 0 ? kWarpSize - 1 : first > 0 ? first - 1 : 0);
    if (first == 0) return FloatOfKey(low);
    low = bottom + 1;
    if (first > 0) high = top;
  }
  return FloatOfKey(high);
}

// The chunks' sums of exponentials into the row's, as integers: in any order.
__device__ inline void SumRaw(BlockMemory* block, const RowLayout& layout, RowState* state) {
  const RowMemory& memory = block->memory;
  uint32_t largest = 0;
#pragma unroll 1
  for (int32_t i = Block::Rank(); i < layout.chunks; i += Block::Size()) {
    const uint32_t key = OrderKey(memory.raw_maxima[i]);
    if (key > largest) largest = key;
  }
  state->raw_max = FloatOfKey(BlockMax(largest, block->scratch));
  uint64_t sum = 0;
#pragma unroll 1
  for (int32_t i = Block::Rank(); i < layout.chunks; i += Block::Size()) {
    const float max = memory.raw_maxima[i];
    const double exponent =
        max == state->raw_max ? 0.0 : static_cast<double>(max - state->raw_max) * 1.4426950408889634;
    const double term = static_cast<double>(memory.raw_sums[i]) * exp2(exponent);
    if (term > 0.0) sum += static_cast<uint64_t>(term * static_cast<double>(kMaxWeight));
  }
  state->raw_sum = static_cast<double>(BlockSum(sum, block->scratch)) / static_cast<double>(kMaxWeight);
}

// By one block, into block->state.
__device__ __noinline__ inline void PlanRow(BlockMemory* block, const RowLayout& layout) {
  const Row& row = block->row;
  const RowMemory& memory = block->memory;
  RowState state = {};
  // The highest maximum, and the lowest of what a cut is guessed from, by the highest of reversed keys.
  TwoKeys keys = {0, 0};
  const auto look = [&](float z) {
    const uint32_t key = OrderKey(z);
    if (key > keys.first) keys.first = key;
    if (z > kNegativeInfinity && ~key > keys.second) keys.second = ~key;
  };
  const bool has_cut = row.HasTopK() || row.HasTopP();
  ForEachAhead<Block>(layout.chunks, [&](int64_t i) { return memory.maxima[i]; }, [&](int64_t, float z) { look(z); });
  ForEachAhead<Block>(
      has_cut ? layout.chunks * layout.samples_per_chunk : 0, [&](int64_t i) { return memory.sample[i]; },
      [&](int64_t, float z) { look(z); });
  ForEachAhead<Block>(
      has_cut && layout.samples_per_chunk > 0 ? layout.tiles * kChunk : 0, [&](int64_t i) { return memory.hot[i]; },
      [&](int64_t, float z) { look(z); });
  keys = BlockMax(keys, reinterpret_cast<TwoKeys*>(block->scratch));
  state.max = FloatOfKey(keys.first);
  bool has_nan = false;
  bool is_bad = row.is_bad;
#pragma unroll 1
  for (int32_t i = 0; i < layout.tiles; ++i) {
    has_nan |= memory.reports[i].has_nan;
    is_bad |= memory.reports[i].is_bad;
  }
  if (row.WantsRawLogprobs()) SumRaw(block, layout, &state);
  state.status = is_bad                           ? Status::kBadParameter
                 : has_nan                        ? Status::kNanLogits
                 : state.max == kNegativeInfinity ? Status::kNoToken
                                                  : Status::kOk;
  state.is_greedy = row.params.IsGreedy();
  state.shares_infinity = state.max == -kNegativeInfinity;
  state.weigh.max = state.shares_infinity ? 0.0f : state.max;
  // Of a greedy row, weights at temperature 1 are what its logprobs are made of.
  state.weigh.scale = ScaleOf(state.is_greedy ? 1.0f : row.params.temperature);
  state.needs_weighing =
      state.status == Status::kOk && (!state.is_greedy || (row.WantsLogprobs() && !row.WantsRawLogprobs()));
  state.floor = kNegativeInfinity;
  state.lowest = -kNegativeInfinity;
  state.above = -kNegativeInfinity;

  if (state.needs_weighing && !state.is_greedy) {
    // Without min_p and top_k a token of weight 0 adds nothing anywhere.
    if (row.params.min_p > 0.0 || row.HasTopK()) {
      state.floor = LowestWithWeight(state.weigh, MinWeight(row.params.min_p));
    }
    if (state.shares_infinity) state.floor = 0.0f;
    if (!has_cut) {
      state.lowest = state.above = state.floor;
    } else if (layout.samples_per_chunk == 0 || state.shares_infinity) {
      state.lowest = state.floor;
    } else {
      const Bracket bracket = EstimateCut(block, layout, state.weigh, state.floor, FloatOfKey(~keys.second));
      state.lowest = bracket.lowest;
      state.above = bracket.above;
    }
  }
  if (Block::Rank() == 0) block->state = state;
  Block::Sync();
}

}  // namespace nexttoken
