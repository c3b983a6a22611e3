// Step 8 of the sampling contract for a tile: exact masses, and the list of the tokens among which the cut is.
#pragma once

#include <cstdint>

#include "block/sums.cuh"
#include "row_memory.cuh"

namespace nexttoken {

// The block's part of the row's list, in shared memory until it is whole.
struct TileList {
  Entry* entries;
  uint32_t* count;  // more than the capacity: some are missing
  uint32_t capacity;

  // Those of the lane's values for which `listed` has a bit.
  __device__ void Append(const float* z, unsigned listed, int32_t first_token) {
    const auto mine = static_cast<uint32_t>(__popc(listed));
    const uint32_t through = WarpRunningSum(mine);
    uint32_t begin = 0;
    if (Lane() == kWarpSize - 1 && through > 0) begin = atomicAdd(count, through);
    uint32_t at = __shfl_sync(kAllLanes, begin, kWarpSize - 1) + through - mine;
#pragma unroll
    for (int j = 0; j < kLaneValues; ++j) {
      if (!(listed >> j & 1u)) continue;
      const int32_t token = first_token + j / 4 * (kChunk / 2) + j % 4;
      if (at < capacity) entries[at] = {z[j], token};
      ++at;
    }
  }
};

struct TileMasses {
  uint64_t above;
  uint64_t rest;
  uint32_t above_count;
};

// A chunk of which nothing is at `lowest` or higher.
__device__ __forceinline__ uint64_t RestOfLane(const RowState& state, const float* z) {
  uint32_t high = 0;
  uint32_t low = 0;
#pragma unroll
  for (int j = 0; j < kLaneValues; ++j) {
    const WeightHalves w = state.weigh.Halves(z[j]);
    const bool counts = z[j] >= state.floor;
    high += counts ? w.high : 0;
    low += counts ? w.low : 0;
  }
  return Joined(high, low);
}

// Any chunk. The mass of what is above is the same for all lanes.
__device__ __forceinline__ void SplitChunk(const RowState& state, const float* z, int32_t first_token, TileList* list,
                                           uint64_t* chunk_above, TileMasses* lane) {
  uint32_t above_high = 0, above_low = 0, rest_high = 0, rest_low = 0, above_count = 0;
  unsigned listed = 0;
#pragma unroll
  for (int j = 0; j < kLaneValues; ++j) {
    const WeightHalves w = state.weigh.Halves(z[j]);
    const bool is_above = z[j] >= state.above;
    const bool is_listed = z[j] >= state.lowest && !is_above;
    const bool is_rest = z[j] >= state.floor && z[j] < state.lowest && !is_above;
    above_high += is_above ? w.high : 0;
    above_low += is_above ? w.low : 0;
    rest_high += is_rest ? w.high : 0;
    rest_low += is_rest ? w.low : 0;
    above_count += is_above;
    listed |= static_cast<unsigned>(is_listed) << j;
  }
  lane->rest += Joined(rest_high, rest_low);
  lane->above_count += above_count;
  *chunk_above = Joined(__reduce_add_sync(kAllLanes, above_high), __reduce_add_sync(kAllLanes, above_low));
  if (__any_sync(kAllLanes, listed != 0)) list->Append(z, listed, first_token);
}

// The block's tile is in shared memory, its maxima too, and block->state is the row's.
__device__ inline void WeighTile(BlockMemory* block, const RowLayout& layout, int32_t index) {
  const RowState& state = block->state;
  const RowMemory& memory = block->memory;
  const Tile tile = TileOf(block->row, index, layout.tiles);
  const int32_t vocab_size = block->row.logits.vocab_size;
  TileList list = {reinterpret_cast<Entry*>(block->work), &block->counts[0],
                   static_cast<uint32_t>(layout.tile_list_capacity)};
  if (Block::Rank() == 0) block->counts[0] = 0;
  Block::Sync();

  const bool has_above = state.above < -kNegativeInfinity;
  // Nothing below weighs anything.
  const float lightest = fmaxf(state.floor, state.weigh.max - 44.0f / state.weigh.scale);
  TileMasses lane = {};
  for (int32_t k = Block::WarpIndex(); k < tile.chunks; k += Block::Warps()) {
    const float max = state.Seen(block->maxima[k]);
    const int32_t begin = tile.Chunk(k) * kChunk;
    uint64_t chunk_above = 0;
    if (max >= lightest || max >= state.lowest) {
      const float4 low = *reinterpret_cast<const float4*>(block->tile + k * kChunk + Lane() * 4);
      const float4 high = *reinterpret_cast<const float4*>(block->tile + k * kChunk + kChunk / 2 + Lane() * 4);
      float z[kLaneValues] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      if (state.shares_infinity) {
#pragma unroll
        for (int j = 0; j < kLaneValues; ++j) z[j] = state.Seen(z[j]);
      }
      if (max < state.lowest) {
        lane.rest += RestOfLane(state, z);
      } else {
        if (begin + kChunk > vocab_size) {  // what lies beyond is no token, even where -inf is not too low
#pragma unroll
          for (int j = 0; j < kLaneValues; ++j) {
            const int32_t token = begin + Lane() * 4 + j / 4 * (kChunk / 2) + j % 4;
            if (token >= vocab_size) z[j] = FloatFromBits(0x7fc00000u);  // which no comparison holds for
          }
        }
        SplitChunk(state, z, begin + Lane() * 4, &list, &chunk_above, &lane);
      }
    }
    if (has_above && Lane() == 0) memory.masses[tile.Chunk(k)] = chunk_above;
    if (Lane() == 0) lane.above += chunk_above;
  }

  const uint64_t above = BlockSum(lane.above, block->scratch);
  const uint64_t rest = BlockSum(lane.rest, block->scratch);
  const uint64_t above_count = BlockSum(lane.above_count, block->scratch);
  const uint32_t count = block->counts[0];
  RowTotals* totals = memory.totals;
  if (Block::Rank() == 0) {
    using Word = unsigned long long;
    if (above) atomicAdd(reinterpret_cast<Word*>(&totals->above_mass), static_cast<Word>(above));
    if (rest) atomicAdd(reinterpret_cast<Word*>(&totals->rest_mass), static_cast<Word>(rest));
    if (above_count) atomicAdd(&totals->above_count, static_cast<unsigned>(above_count));
    // A list that is not whole makes the row's not whole.
    const uint32_t missing = count > list.capacity ? static_cast<uint32_t>(layout.list_capacity) : 0;
    block->counts[1] = count > 0 ? atomicAdd(&totals->listed, count + missing) : 0;
  }
  Block::Sync();
  const uint32_t at = block->counts[1];
  const uint32_t whole = count < list.capacity ? count : list.capacity;
  for (uint32_t i = static_cast<uint32_t>(Block::Rank()); i < whole; i += static_cast<uint32_t>(Block::Size())) {
    if (at + i < static_cast<uint32_t>(layout.list_capacity)) memory.list[at + i] = list.entries[i];
  }
}

// Whether the block is the last of its row to come here; then it sees what all others wrote before.
__device__ inline bool IsLastOfRow(BlockMemory* block, const RowLayout& layout) {
  __threadfence();
  Block::Sync();
  if (Block::Rank() == 0) {
    const unsigned before = atomicAdd(&block->memory.totals->weighed_tiles, 1u);
    block->counts[0] = before + 1 == static_cast<unsigned>(layout.tiles) ? 1 : 0;
  }
  Block::Sync();
  const bool is_last = block->counts[0] != 0;
  Block::Sync();
  __threadfence();
  return is_last;
}

}  // namespace nexttoken
