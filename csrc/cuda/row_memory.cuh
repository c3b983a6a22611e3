// What the blocks of a row tell each other, in device memory, and where it lies.
#pragma once

#include <cstdint>

#include "nexttoken/filter.h"
#include "tile.cuh"
#include "weigher.cuh"

namespace nexttoken {

// Candidates for a cut, until the cut is known.
struct Entry {
  float z;
  int32_t token;
};

// Rank order as the order of integers: by logit, then by id, the lower id higher. Logits in shared memory may be -0.0.
__device__ __forceinline__ uint64_t RankOf(float z, int32_t token) {
  return uint64_t{OrderKey(Canonical(z))} << 32 | static_cast<uint32_t>(~token);
}
__device__ __forceinline__ float LogitOfRank(uint64_t rank) {
  return FloatOfKey(static_cast<uint32_t>(rank >> 32));
}
__device__ __forceinline__ int32_t TokenOfRank(uint64_t rank) {
  return static_cast<int32_t>(~static_cast<uint32_t>(rank));
}

// What reading a tile found.
struct TileReport {
  int32_t hot_chunk;  // of the row: the one with the tile's highest logit
  bool has_nan;
  bool is_bad;  // a token id of an edit is out of range
};

// What is known of a row once all of its tiles have been read.
struct RowState {
  Weigher weigh;  // max is 0 where the row's is +inf, see Seen
  Status status;
  bool is_greedy;
  bool shares_infinity;
  bool needs_weighing;
  // What is below `floor` is dropped. All others are summed; those at `above` and higher by chunk; and those from
  // `lowest` up to there are listed.
  float floor;
  float lowest;
  float above;
  float max;       // of the edited row
  float raw_max;   // of the caller's logits, where their logprobs are wanted
  double raw_sum;  // of their exponentials relative to it

  // The outcome: tokens at `floor` and higher whose rank is at least `last` are kept. Of a greedy row, `last` is its
  // token's and nothing else is kept.
  uint64_t last;
  uint64_t mass;
  bool was_searched;  // the list did not hold the cut, and the row was searched for it

  // The tokens at +inf share the mass: they become 0 and all others -inf, which says the same.
  __device__ float Seen(float z) const {
    return shares_infinity ? (z == -kNegativeInfinity ? 0.0f : kNegativeInfinity) : z;
  }
  __device__ bool Keeps(float z, int32_t token) const { return z >= floor && RankOf(z, token) >= last; }
};

// What weighing its tiles adds up, one block after the other.
struct RowTotals {
  uint64_t mass;
  uint64_t above_mass;
  uint32_t above_count;  // 0 where nothing is listed: then nobody asks
  uint32_t listed;       // more than the capacity: the list is not whole
  uint32_t weighed_tiles;
};

// Sizes that are the same for all rows of a batch.
struct RowLayout {
  int32_t chunks;
  int32_t tiles;
  int32_t tile_chunks;
  int32_t samples_per_chunk;  // 0: the whole row fits into the list
  int32_t list_capacity;
  int32_t tile_list_capacity;
  bool each_block_plans;
  int64_t bytes;  // of a row's memory
};

struct RowMemory {
  RowState* state;
  RowTotals* totals;
  TileReport* reports;  // [tiles]
  float* maxima;        // [chunks] of the edited row
  float* raw_maxima;    // [chunks] of the caller's
  float* raw_sums;      // [chunks] of exponentials relative to those
  uint64_t* masses;     // [chunks] of what is at `above` and higher
  float* sample;        // [chunks * samples_per_chunk] values that are not their chunk's maximum, else -inf
  float* hot;           // [tiles * kChunk] all values of each tile's hot chunk
  Entry* list;          // [list_capacity]
};

// The row's memory at `base`; returns the bytes it takes, also for a null base.
__host__ __device__ inline int64_t LayOutRow(const RowLayout& layout, char* base, RowMemory* memory) {
  int64_t used = 0;
  const auto take = [&](int64_t bytes) {
    char* at = base + used;
    used += (bytes + 127) / 128 * 128;
    return at;
  };
  memory->state = reinterpret_cast<RowState*>(take(sizeof(RowState)));
  memory->totals = reinterpret_cast<RowTotals*>(take(sizeof(RowTotals)));
  memory->reports = reinterpret_cast<TileReport*>(take(layout.tiles * int64_t{sizeof(TileReport)}));
  memory->maxima = reinterpret_cast<float*>(take(layout.chunks * int64_t{sizeof(float)}));
  memory->raw_maxima = reinterpret_cast<float*>(take(layout.chunks * int64_t{sizeof(float)}));
  memory->raw_sums = reinterpret_cast<float*>(take(layout.chunks * int64_t{sizeof(float)}));
  memory->masses = reinterpret_cast<uint64_t*>(take(layout.chunks * int64_t{sizeof(uint64_t)}));
  memory->sample = reinterpret_cast<float*>(take(layout.chunks * int64_t{sizeof(float)} * layout.samples_per_chunk));
  memory->hot = reinterpret_cast<float*>(
      take(layout.samples_per_chunk > 0 ? layout.tiles * int64_t{kChunk} * int64_t{sizeof(float)} : 0));
  memory->list = reinterpret_cast<Entry*>(take(layout.list_capacity * int64_t{sizeof(Entry)}));
  return used;
}

// A step's device memory.
struct BatchMemory {
  char* rows;  // [batch_size] of RowLayout::bytes
  CountedHistory counted;
};

// A block's shared memory. `work` is used by one stage after the other.
struct BlockMemory {
  Row row;
  RowMemory memory;
  RowState state;                   // a copy
  RowTotals totals;                 // a copy
  uint64_t scratch[8 * kWarpSize];  // for sums over the block
  uint32_t counts[4];               // counters and flags of a stage

  float* tile;    // [tile_chunks * kChunk]
  float* maxima;  // [tile_chunks] of the edited tile
  char* work;     // [work_bytes]
};

constexpr int kBracketBins = 1024;
constexpr int kSelectBins = 256;
constexpr int kFew = kWarpSize;

struct SelectBin {
  uint64_t mass;
  uint32_t count;
  uint32_t padding;
};

// The largest that any stage needs: counters of the bracket's sample; the tile's list; bins, a few entries and the
// running masses of all chunks.
__host__ __device__ inline int64_t WorkBytes(const RowLayout& layout) {
  const int64_t bracket = 2 * kBracketBins * int64_t{sizeof(uint32_t)};
  const int64_t list = layout.tile_list_capacity * int64_t{sizeof(Entry)};
  const int64_t finish = kSelectBins * int64_t{sizeof(SelectBin)} + kFew * int64_t{sizeof(Entry)} +
                         layout.chunks * int64_t{sizeof(uint64_t)};
  const int64_t largest = bracket > list ? bracket : list;
  return ((largest > finish ? largest : finish) + 15) / 16 * 16;
}

__host__ __device__ inline int64_t SharedBytes(const RowLayout& layout) {
  const int64_t fixed = (int64_t{sizeof(BlockMemory)} + 15) / 16 * 16;
  const int64_t maxima = (layout.tile_chunks * int64_t{sizeof(float)} + 15) / 16 * 16;
  return fixed + maxima + WorkBytes(layout) + layout.tile_chunks * int64_t{kChunk} * int64_t{sizeof(float)};
}

// Called by all threads of the block, once.
__device__ inline BlockMemory* OpenBlock(const BatchInput& input, const CountedHistory& counted,
                                         const RowLayout& layout, char* rows, int64_t row) {
  char* shared = SharedMemory();
  auto* block = reinterpret_cast<BlockMemory*>(shared);
  if (Block::WarpIndex() == 0) ReadParameters(input, counted, row, block->scratch);
  if (Block::Rank() == 0) {
    block->row = OpenRow(input, counted, row, block->scratch);
    LayOutRow(layout, rows + row * layout.bytes, &block->memory);
    int64_t used = (int64_t{sizeof(BlockMemory)} + 15) / 16 * 16;
    block->maxima = reinterpret_cast<float*>(shared + used);
    used += (layout.tile_chunks * int64_t{sizeof(float)} + 15) / 16 * 16;
    block->work = shared + used;
    used += WorkBytes(layout);
    block->tile = reinterpret_cast<float*>(shared + used);
  }
  Block::Sync();
  return block;
}

}  // namespace nexttoken
