// Steps 1 to 6 of the sampling contract: a part of a row, read and edited, as float32 in shared memory.
//
// A row is cut into chunks of 256 logits; what lies beyond the vocabulary is -inf. A tile is every stride-th chunk from
// the first: the likeliest tokens of a real vocabulary have low ids, so blocks that took neighbouring chunks would
// share the work badly.
#pragma once

#include <cstdint>

#include "block/prefetch.cuh"
#include "nexttoken/adjust.h"
#include "row.cuh"

namespace nexttoken {

constexpr int kChunk = 256;
constexpr int kLaneValues = kChunk / kWarpSize;

__device__ __host__ inline int32_t ChunksOf(int64_t vocab_size) {
  return static_cast<int32_t>((vocab_size + kChunk - 1) / kChunk);
}

__device__ inline int32_t Row::Chunks() const {
  return ChunksOf(logits.vocab_size);
}

struct Tile {
  int32_t first;
  int32_t stride;
  int32_t chunks;

  // The row's chunk that is the tile's k-th.
  __device__ int32_t Chunk(int32_t k) const { return first + k * stride; }
  // How many of the tile's chunks are before that chunk of the row.
  __device__ int32_t CountBelow(int32_t chunk) const {
    const int32_t count = chunk > first ? (chunk - first + stride - 1) / stride : 0;
    return count < chunks ? count : chunks;
  }
  // Where the token stands in the tile, or -1.
  __device__ int32_t Place(int32_t token) const {
    const int32_t chunk = token / kChunk - first;
    if (stride == 1) return chunk >= 0 && chunk < chunks ? chunk * kChunk + token % kChunk : -1;
    if (chunk < 0 || chunk % stride != 0) return -1;
    return chunk / stride < chunks ? chunk / stride * kChunk + token % kChunk : -1;
  }
};

__device__ inline Tile TileOf(int32_t chunks, int32_t index, int32_t tiles) {
  return {index, tiles, chunks > index ? (chunks - index + tiles - 1) / tiles : 0};
}

// By one block.
__device__ inline void PrefetchTile(const RowView& view, const Tile& tile) {
  if (view.stride != 1) return;
  const int64_t item = ItemSize(view.dtype);
  for (int32_t k = Block::WarpIndex(); k < tile.chunks; k += Block::Warps()) {
    const int64_t begin = int64_t{tile.Chunk(k)} * kChunk;
    const int64_t count = view.vocab_size - begin < kChunk ? view.vocab_size - begin : kChunk;
    Prefetch<Warp>(static_cast<const char*>(view.data) + begin * item, count * item);
  }
}

__device__ inline Tile TileOfChunk(int32_t chunk) {
  return {chunk, 1, 1};
}

// A chunk as a warp holds it: 8 values a lane, in fours that are read and stored at once.
using LaneChunk = float[kLaneValues];

// Where in a chunk a lane's value j stands.
__device__ __forceinline__ int SlotOf(int j) {
  return j / 4 * (kChunk / 2) + Lane() * 4 + j % 4;
}

__device__ __forceinline__ void LoadFours(const float* from, LaneChunk& x) {
#pragma unroll
  for (int j = 0; j < kLaneValues; j += 4) {
    const float4 four = *reinterpret_cast<const float4*>(from + SlotOf(j));
    x[j] = four.x, x[j + 1] = four.y, x[j + 2] = four.z, x[j + 3] = four.w;
  }
}

__device__ __forceinline__ void StoreFours(const LaneChunk& x, float* to) {
#pragma unroll
  for (int j = 0; j < kLaneValues; j += 4) {
    *reinterpret_cast<float4*>(to + SlotOf(j)) = make_float4(x[j], x[j + 1], x[j + 2], x[j + 3]);
  }
}

// How many of a row's chunks can be read by fours where they lie: all but a last one that is not whole, or none.
template <DType kDType>
__device__ int32_t ChunksByFours(const RowView& view) {
  const bool is_aligned = view.stride == 1 && reinterpret_cast<uintptr_t>(view.data) % (4 * ItemSize(kDType)) == 0;
  return is_aligned ? view.vocab_size / kChunk : 0;
}

template <DType kDType>
__device__ __forceinline__ void ReadByFours(const RowView& view, int32_t chunk, LaneChunk& x) {
  if constexpr (kDType == DType::kFloat32) {
    LoadFours(static_cast<const float*>(view.data) + int64_t{chunk} * kChunk, x);
  } else {
    const uint16_t* from = static_cast<const uint16_t*>(view.data) + int64_t{chunk} * kChunk;
#pragma unroll
    for (int j = 0; j < kLaneValues; j += 4) {
      const uint2 four = *reinterpret_cast<const uint2*>(from + SlotOf(j));
      x[j] = Widen<kDType>(four.x & 0xffffu), x[j + 1] = Widen<kDType>(four.x >> 16);
      x[j + 2] = Widen<kDType>(four.y & 0xffffu), x[j + 3] = Widen<kDType>(four.y >> 16);
    }
  }
}

// Any chunk of any row: neighbours by neighbouring lanes, into fours by way of `buffer`, shared memory for a chunk.
template <DType kDType>
__device__ __forceinline__ void ReadOneByOne(const RowView& view, int32_t chunk, float* buffer, LaneChunk& x) {
#pragma unroll
  for (int j = 0; j < kLaneValues; ++j) {
    const int32_t token = chunk * kChunk + j * kWarpSize + Lane();
    x[j] = token < view.vocab_size ? ReadLogit<kDType>(view, token) : kNegativeInfinity;
  }
#pragma unroll
  for (int j = 0; j < kLaneValues; ++j) buffer[j * kWarpSize + Lane()] = x[j];
  __syncwarp();
  LoadFours(buffer, x);
  __syncwarp();
}

// What looks at a tile while it is read.
struct NoWitness {
  __device__ void Raw(int32_t, const LaneChunk&) {}     // a chunk as the caller gave it
  __device__ void Masked(int32_t, const LaneChunk&) {}  // the tile's k-th chunk, before its edits
  __device__ void Edited(int32_t, float) {}             // a place in the tile and its new value
  __device__ void BadParameter() {}                     // a token id or a bias is out of range
};

// By one block.
__device__ inline void PrefetchEdits(const Row& row) {
  Prefetch<Block>(row.bias_tokens, row.bias_count * int64_t{sizeof(int32_t)});
  Prefetch<Block>(row.bias_values, row.bias_count * int64_t{sizeof(float)});
  Prefetch<Block>(row.history, row.history_count * int64_t{sizeof(HistoryEntry)});
}

// use(i, ahead[i]) for i from this thread's first to `count`, with several loads on their way at a time.
template <class Group, class Load, class Use>
__device__ __forceinline__ void ForEachAhead(int64_t count, const Load& load, const Use& use) {
  constexpr int kAhead = 4;
#pragma unroll 1
  for (int64_t first = Group::Rank(); first < count; first += kAhead * Group::Size()) {
    decltype(load(first)) ahead[kAhead];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int64_t i = first + a * Group::Size();
      if (i < count) ahead[a] = load(i);
    }
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int64_t i = first + a * Group::Size();
      if (i < count) use(i, ahead[a]);
    }
  }
}

// Bias and penalties, for the tokens they touch.
template <class Group, class Witness>
__device__ void EditTile(const Row& row, const Tile& tile, float* z, Witness* witness) {
  const auto place_of = [&](int32_t token) {
    if (token >= 0 && token < row.logits.vocab_size) return tile.Place(token);
    witness->BadParameter();
    return int32_t{-1};
  };
  ForEachAhead<Group>(
      row.bias_count, [&](int64_t i) { return row.bias_tokens[i]; },
      [&](int64_t i, int32_t token) {
        const int32_t place = place_of(token);
        if (place < 0) return;
        const float bias = row.bias_values[i];
        if (!(bias < -kNegativeInfinity)) witness->BadParameter();
        z[place] = Canonical(AddBias(z[place], bias));
        witness->Edited(place, z[place]);
      });
  if (row.bias_count > 0) Group::Sync();
  const RowParams& p = row.params;
  if (!p.HasPenalties()) return;
  ForEachAhead<Group>(
      row.history_count, [&](int64_t i) { return row.history[i].token; },
      [&](int64_t i, int32_t token) {
        if (row.history_is_table && token == kNoTokenId) return;
        const int32_t place = place_of(token);
        if (place < 0) return;
        const HistoryEntry& entry = row.history[i];
        const uint32_t count = entry.output_count + (p.penalize_prompt ? entry.prompt_count : 0);
        const float repeated = PenalizeRepetition(z[place], p.repetition_penalty);
        const float frequent = PenalizeFrequency(repeated, count, p.frequency_penalty);
        z[place] = Canonical(PenalizePresence(frequent, count, p.presence_penalty));
        witness->Edited(place, z[place]);
      });
  if (row.history_count > 0) Group::Sync();
}

// A chunk that has been read, masked and stored.
template <class Witness>
__device__ __forceinline__ void TakeChunk(const RowView& view, const int32_t* bitmask, int32_t chunk, int32_t k,
                                          LaneChunk& x, float* z, Witness* witness) {
  witness->Raw(chunk, x);
  if (bitmask) {
#pragma unroll
    for (int j = 0; j < kLaneValues; ++j) {
      const int32_t token = chunk * kChunk + SlotOf(j);
      if (token < view.vocab_size && !IsAllowed(bitmask, token)) x[j] = kNegativeInfinity;
    }
  }
  witness->Masked(k, x);
  StoreFours(x, z + k * kChunk);
}

// Into z[tile.chunks * kChunk], aligned to 16 bytes; to be read after this returns, by the threads of the group.
template <DType kDType, class Group, class Witness>
__device__ void LoadTile(const Row& row, const Tile& tile, float* z, Witness* witness) {
  constexpr int kAhead = Group::kChunksAhead;
  const RowView view = row.logits;  // a copy: what is stored meanwhile cannot change it
  const int32_t* const bitmask = row.token_bitmask;
  const int32_t by_fours = tile.CountBelow(ChunksByFours<kDType>(view));
#pragma unroll 1
  for (int32_t first = Group::WarpIndex(); first < by_fours; first += kAhead * Group::Warps()) {
    LaneChunk ahead[kAhead];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int32_t k = first + a * Group::Warps();
      if (k < by_fours) ReadByFours<kDType>(view, tile.Chunk(k), ahead[a]);
    }
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int32_t k = first + a * Group::Warps();
      if (k < by_fours) TakeChunk(view, bitmask, tile.Chunk(k), k, ahead[a], z, witness);
    }
  }
#pragma unroll 1
  for (int32_t k = by_fours + Group::WarpIndex(); k < tile.chunks; k += Group::Warps()) {
    LaneChunk x;
    ReadOneByOne<kDType>(view, tile.Chunk(k), z + k * kChunk, x);
    TakeChunk(view, bitmask, tile.Chunk(k), k, x, z, witness);
  }
  Group::Sync();
  EditTile<Group>(row, tile, z, witness);
}

}  // namespace nexttoken
