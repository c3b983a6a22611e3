// Steps 9 to 11 of the sampling contract: what is kept of a row, and its mass by chunk.
#pragma once

#include <cstdint>

#include "select.cuh"
#include "sources.cuh"

namespace nexttoken {

// The block's `work` in the last stage.
struct FinishMemory {
  SelectMemory select;
  uint64_t* masses;  // [chunks] of what is kept

  __device__ explicit FinishMemory(BlockMemory* block) {
    select.bins = reinterpret_cast<SelectBin*>(block->work);
    select.few = reinterpret_cast<Entry*>(select.bins + kSelectBins);
    select.scratch = block->scratch;
    select.counts = block->counts;
    masses = reinterpret_cast<uint64_t*>(select.few + kFew);
  }
};

__device__ __forceinline__ uint64_t LowestRank(float z) {
  return uint64_t{OrderKey(Canonical(z))} << 32;
}
__device__ __forceinline__ uint64_t HighestRank(float z) {
  return LowestRank(z) | 0xffffffffu;
}

// The measure of the source's tokens in [low, high]. By one block.
template <class Source>
__device__ __noinline__ Measure MeasureOf(const Source& source, const Weigher& weigh, uint64_t low, uint64_t high,
                                          uint64_t* scratch) {
  Measure mine{};
  source.ForEach(low, [&](bool is_token, float z, int32_t token) {
    const uint64_t rank = RankOf(z, token);
    if (is_token && rank >= low && rank <= high) mine = mine + Measure{weigh(z), 1};
  });
  return BlockSum(mine, reinterpret_cast<Measure*>(scratch));
}

struct CutOutcome {
  bool is_found;
  uint64_t last;
};

// Looks for the cut among the source's tokens in [low, high]; `above` is the measure of what ranks higher, `mass` that
// of all tokens, and `is_all` says that none ranks lower.
template <class Source>
__device__ __noinline__ CutOutcome FindCut(const Source& source, const Row& row, const Weigher& weigh, uint64_t low,
                                           uint64_t high, const Measure& above, uint64_t mass, bool is_all,
                                           const SelectMemory& memory) {
  const Measure inside = MeasureOf(source, weigh, low, high, memory.scratch);
  const auto at_most = static_cast<uint32_t>(inside.count);
  Measure left = above + inside;
  uint64_t last = 0;
  if (row.HasTopK()) {
    const auto k = static_cast<uint64_t>(row.params.top_k);
    if (left.count > k || (left.count == k && !is_all)) {
      if (above.count >= k) return {false, 0};
      const Prefix prefix = Select(source, weigh, By::kCount, k, above, low, high, at_most, memory);
      left = prefix.through;
      low = last = prefix.last;
    } else if (!is_all) {
      return {false, 0};
    }
  } else {
    left.mass = mass;
  }
  if (row.HasTopP()) {
    const uint64_t need = NeededMass(row.params.top_p, left.mass);
    const uint64_t reach = row.HasTopK() ? left.mass : above.mass + inside.mass;
    if (above.mass >= need || reach < need) return {false, 0};
    last = Select(source, weigh, By::kMass, need, above, low, high, at_most, memory).last;
  }
  return {true, last};
}

// Writes what is kept to block->state and its mass by chunk to memory.masses. Returns the list that holds all of it, or
// an empty one.
template <DType kDType>
__device__ ListSource CutRow(BlockMemory* block, const RowLayout& layout, const RowSource<kDType>& row_source,
                             const FinishMemory& memory) {
  RowState& state = block->state;
  const Row& row = block->row;
  const uint64_t high = HighestRank(state.weigh.max);
  const bool has_cut = row.HasTopK() || row.HasTopP();
  const bool has_above = state.above < -kNegativeInfinity;
  const RowTotals& totals = block->totals;
  const auto listed = static_cast<int32_t>(totals.listed);
  ListSource list = {block->memory.list, listed};
  // Into shared memory, where it fits.
  if (listed <= layout.list_capacity && listed * sizeof(Entry) <= layout.tile_chunks * kChunk * sizeof(float)) {
    auto* copy = reinterpret_cast<Entry*>(block->tile);
#pragma unroll 1
    for (int32_t i = Block::Rank(); i < listed; i += Block::Size()) copy[i] = block->memory.list[i];
    list.entries = copy;
  }
#pragma unroll 1
  for (int32_t i = Block::Rank(); i < layout.chunks; i += Block::Size()) {
    memory.masses[i] = has_above ? block->memory.masses[i] : 0;
  }
  Block::Sync();

  CutOutcome cut = {true, 0};
  if (has_cut) {
    cut.is_found = listed <= layout.list_capacity;
    if (cut.is_found) {
      cut = FindCut(list, row, state.weigh, LowestRank(state.lowest), high, {totals.above_mass, totals.above_count},
                    totals.mass, state.lowest <= state.floor, memory.select);
    }
  }
  const bool is_found = cut.is_found;
  if (is_found) {
    list.ForEach(0, [&](bool is_token, float z, int32_t token) {
      if (is_token && RankOf(z, token) >= cut.last) AddShared(&memory.masses[token / kChunk], state.weigh(z));
    });
    Block::Sync();
  } else {
    const uint64_t low = LowestRank(state.floor);
    cut = FindCut(row_source, row, state.weigh, low, high, Measure{}, totals.mass, true, memory.select);
#pragma unroll 1
    for (int32_t i = Block::Rank(); i < layout.chunks; i += Block::Size()) memory.masses[i] = 0;
    Block::Sync();
    const uint64_t lowest = cut.last > low ? cut.last : low;
    row_source.ForEach(lowest, [&](bool is_token, float z, int32_t token) {
      const bool is_kept = is_token && RankOf(z, token) >= lowest;
      const uint64_t mass = WarpSum(is_kept ? state.weigh(z) : 0);
      if (Lane() == 0) memory.masses[token / kChunk] += mass;
    });
    Block::Sync();
  }
  const bool is_listed = is_found && !has_above && !state.shares_infinity;
  if (Block::Rank() == 0) {
    state.last = cut.last;
    state.was_searched = !is_found;
  }
  Block::Sync();
  return is_listed ? list : ListSource{nullptr, 0};
}

}  // namespace nexttoken
