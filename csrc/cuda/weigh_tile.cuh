// Step 8 of the sampling contract for a tile: exact masses, and the list of the tokens among which the cut is.
#pragma once

#include <cstdint>

#include "block/sums.cuh"
#include "row_memory.cuh"

namespace nexttoken {

// The row's list: a block's part goes to shared memory first, and what has no room there straight to the row's.
struct TileList {
  Entry* entries;
  uint32_t* count;  // more than the capacity: the others went to the row's list
  uint32_t capacity;
  Entry* row_entries;
  uint32_t* row_count;  // more than the capacity: some are missing
  uint32_t row_capacity;

  // Those of the lane's values for which `listed` has a bit.
  __device__ void Append(const LaneChunk& z, unsigned listed, int32_t first_token) const {
    const auto mine = static_cast<uint32_t>(__popc(listed));
    const uint32_t through = WarpRunningSum(mine);
    uint32_t begin = 0;
    uint32_t row_begin = 0;
    if (Lane() == kWarpSize - 1) {
      begin = atomicAdd(count, through);
      const uint32_t direct = begin > capacity ? begin : capacity;
      if (begin + through > direct) row_begin = atomicAdd(row_count, begin + through - direct);
    }
    begin = __shfl_sync(kAllLanes, begin, kWarpSize - 1);
    row_begin = __shfl_sync(kAllLanes, row_begin, kWarpSize - 1);
    const uint32_t direct = begin > capacity ? begin : capacity;  // from here on they go to the row's list
    uint32_t at = begin + through - mine;
#pragma unroll
    for (int j = 0; j < kLaneValues; ++j) {
      if (!(listed >> j & 1u)) continue;
      const Entry entry = {z[j], first_token + SlotOf(j)};
      if (at < direct) {
        entries[at] = entry;
      } else if (row_begin + (at - direct) < row_capacity) {
        row_entries[row_begin + (at - direct)] = entry;
      }
      ++at;
    }
  }
};

struct TileMasses {
  uint64_t all;
  uint64_t above;
  uint32_t above_count;
};

// A chunk's values at or above the floor, where there is one; the others weigh nothing.
template <bool kHasFloor>
__device__ __forceinline__ WeightHalves MassOfLane(const RowState& state, const LaneChunk& z) {
  WeightSum sum;
#pragma unroll
  for (int j = 0; j < kLaneValues; ++j) {
    sum.Add(state.weigh.BiasedHalves(kHasFloor && !(z[j] >= state.floor) ? kNegativeInfinity : z[j]));
  }
  return sum.Halves();
}

__device__ __forceinline__ uint64_t WarpMass(WeightHalves lane) {
  return Joined({__reduce_add_sync(kAllLanes, lane.high), __reduce_add_sync(kAllLanes, lane.low)});
}

// The values at `above` and higher, where there are others too: those that are not count as -inf.
__device__ __forceinline__ uint64_t SumAbove(const RowState& state, const LaneChunk& z, uint32_t* count) {
  WeightSum sum;
#pragma unroll
  for (int j = 0; j < kLaneValues; ++j) {
    const bool is_above = z[j] >= state.above;
    sum.Add(state.weigh.BiasedHalves(is_above ? z[j] : kNegativeInfinity));
    *count += is_above;
  }
  return WarpMass(sum.Halves());
}

__device__ __forceinline__ unsigned Listed(const RowState& state, const LaneChunk& z) {
  unsigned listed = 0;
#pragma unroll
  for (int j = 0; j < kLaneValues; ++j) {
    listed |= static_cast<unsigned>(z[j] >= state.lowest && z[j] < state.above) << j;
  }
  return listed;
}

// A row with +inf in it: its tile and maxima as RowState::Seen has them.
__device__ inline void SeeTile(BlockMemory* block, const Tile& tile) {
  for (int32_t i = Block::Rank(); i < tile.chunks * kChunk; i += Block::Size()) {
    block->tile[i] = block->state.Seen(block->tile[i]);
  }
  for (int32_t k = Block::Rank(); k < tile.chunks; k += Block::Size()) {
    block->maxima[k] = block->state.Seen(block->maxima[k]);
  }
  Block::Sync();
}

template <bool kHasFloor>
__device__ TileMasses WeighChunks(const BlockMemory* block, const Tile& tile, TileList list) {
  const RowState state = block->state;  // copies: what is stored meanwhile cannot change them
  uint64_t* const masses = block->memory.masses;
  const float* const maxima = block->maxima;
  const float* const values = block->tile;
  const int32_t vocab_size = block->row.logits.vocab_size;
  const bool has_above = state.above < -kNegativeInfinity;
  const bool is_all_above = state.above <= state.floor;
  // Nothing below weighs anything.
  const float lightest = fmaxf(state.floor, state.weigh.max - 44.0f / state.weigh.scale);
  TileMasses lane = {};
#pragma unroll 1
  for (int32_t k = Block::WarpIndex(); k < tile.chunks; k += Block::Warps()) {
    const float max = maxima[k];
    const int32_t begin = tile.Chunk(k) * kChunk;
    uint64_t chunk_above = 0;
    if (max >= lightest || max >= state.lowest) {
      LaneChunk z;
      LoadFours(values + k * kChunk, z);
      const WeightHalves mass = MassOfLane<kHasFloor>(state, z);
      lane.all += Joined(mass);
      if (is_all_above) {
        chunk_above = WarpMass(mass);
      } else if (max >= state.lowest) {
        if (max >= state.above) chunk_above = SumAbove(state, z, &lane.above_count);
        unsigned listed = Listed(state, z);
        if (begin + kChunk > vocab_size) {  // what lies beyond is no token, even where -inf is not too low
#pragma unroll
          for (int j = 0; j < kLaneValues; ++j) {
            if (begin + SlotOf(j) >= vocab_size) listed &= ~(1u << j);
          }
        }
        if (__any_sync(kAllLanes, listed != 0)) list.Append(z, listed, begin);
      }
    }
    if (has_above && Lane() == 0) masses[tile.Chunk(k)] = chunk_above;
    if (Lane() == 0) lane.above += chunk_above;
  }
  return lane;
}

// The block's tile is in shared memory, its maxima too, and block->state is the row's.
__device__ inline void WeighTile(BlockMemory* block, const RowLayout& layout, int32_t index) {
  const RowMemory& memory = block->memory;
  const Tile tile = TileOf(layout.chunks, index, layout.tiles);
  const TileList list = {reinterpret_cast<Entry*>(block->work),
                         &block->counts[0],
                         static_cast<uint32_t>(layout.tile_list_capacity),
                         memory.list,
                         &memory.totals->listed,
                         static_cast<uint32_t>(layout.list_capacity)};
  if (Block::Rank() == 0) block->counts[0] = 0;
  if (block->state.shares_infinity) SeeTile(block, tile);
  Block::Sync();
  const bool has_floor = block->state.floor > kNegativeInfinity;
  const TileMasses lane = has_floor ? WeighChunks<true>(block, tile, list) : WeighChunks<false>(block, tile, list);

  const uint64_t all = BlockSum(lane.all, block->scratch);
  const Measure above = BlockSum({lane.above, lane.above_count}, reinterpret_cast<Measure*>(block->scratch));
  const uint32_t count = block->counts[0] < list.capacity ? block->counts[0] : list.capacity;
  if (Block::Rank() == 0) {
    using Word = unsigned long long;
    RowTotals* totals = memory.totals;
    if (above.mass) atomicAdd(reinterpret_cast<Word*>(&totals->above_mass), static_cast<Word>(above.mass));
    if (all) atomicAdd(reinterpret_cast<Word*>(&totals->mass), static_cast<Word>(all));
    if (above.count) atomicAdd(&totals->above_count, static_cast<unsigned>(above.count));
    block->counts[1] = count > 0 ? atomicAdd(list.row_count, count) : 0;
  }
  Block::Sync();
  const uint32_t at = block->counts[1];
#pragma unroll 1
  for (uint32_t i = static_cast<uint32_t>(Block::Rank()); i < count; i += static_cast<uint32_t>(Block::Size())) {
    if (at + i < list.row_capacity) list.row_entries[at + i] = list.entries[i];
  }
}

// Whether the block is the last of its row to come here; then it sees what all others wrote before.
__device__ inline bool IsLastOfRow(BlockMemory* block, const RowLayout& layout) {
  Block::Sync();
  if (layout.tiles == 1) return true;
  if (Block::Rank() == 0) {
    // For the whole block: what the others wrote came before the barrier, what they read comes after the next.
    __threadfence();
    const unsigned before = atomicAdd(&block->memory.totals->weighed_tiles, 1u);
    block->counts[0] = before + 1 == static_cast<unsigned>(layout.tiles) ? 1 : 0;
    __threadfence();
  }
  Block::Sync();
  const bool is_last = block->counts[0] != 0;
  Block::Sync();
  return is_last;
}

}  // namespace nexttoken
