// Steps 1 to 6 of the sampling contract: a part of a row, read and edited, as float32 in shared memory.
//
// A row is cut into chunks of 256 logits; what lies beyond the vocabulary is -inf. A tile is every stride-th chunk from
// the first: the likeliest tokens of a real vocabulary have low ids, so blocks that took neighbouring chunks would
// share the work badly.
#pragma once

#include <cstdint>

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
  // Where the token stands in the tile, or -1.
  __device__ int32_t Place(int32_t token) const {
    const int32_t chunk = token / kChunk - first;
    return chunk >= 0 && chunk % stride == 0 && chunk / stride < chunks ? chunk / stride * kChunk + token % kChunk : -1;
  }
};

__device__ inline Tile TileOf(const Row& row, int32_t index, int32_t tiles) {
  const int32_t chunks = row.Chunks();
  return {index, tiles, chunks > index ? (chunks - index + tiles - 1) / tiles : 0};
}

__device__ inline Tile TileOfChunk(int32_t chunk) {
  return {chunk, 1, 1};
}

// A chunk as a warp holds it: 8 values a lane.
struct ChunkValues {
  float x[kLaneValues];
  bool is_vector;

  // Where in the chunk value j of this lane stands: fours side by side, which are read and stored at once, or, where
  // the caller's memory does not allow that, neighbours in neighbouring lanes.
  __device__ int Slot(int j) const {
    return is_vector ? j / 4 * (kChunk / 2) + Lane() * 4 + j % 4 : j * kWarpSize + Lane();
  }
};

// Whether fours of logits can be read at once.
template <DType kDType>
__device__ bool IsVectorRow(const RowView& view) {
  return view.stride == 1 && reinterpret_cast<uintptr_t>(view.data) % (4 * ItemSize(kDType)) == 0;
}

template <DType kDType>
__device__ __forceinline__ ChunkValues ReadChunk(const RowView& view, int32_t chunk, bool is_vector_row) {
  ChunkValues values;
  const int32_t begin = chunk * kChunk;
  values.is_vector = is_vector_row && begin + kChunk <= view.vocab_size;
  if (values.is_vector) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int32_t at = begin + half * (kChunk / 2) + Lane() * 4;
      float* x = values.x + half * 4;
      if (kDType == DType::kFloat32) {
        const float4 four = *reinterpret_cast<const float4*>(static_cast<const float*>(view.data) + at);
        x[0] = four.x, x[1] = four.y, x[2] = four.z, x[3] = four.w;
      } else {
        const uint2 four = *reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(view.data) + at);
        x[0] = Widen<kDType>(four.x & 0xffffu), x[1] = Widen<kDType>(four.x >> 16);
        x[2] = Widen<kDType>(four.y & 0xffffu), x[3] = Widen<kDType>(four.y >> 16);
      }
    }
  } else {
#pragma unroll
    for (int j = 0; j < kLaneValues; ++j) {
      const int32_t token = begin + values.Slot(j);
      values.x[j] = token < view.vocab_size ? ReadLogit<kDType>(view, token) : kNegativeInfinity;
    }
  }
  return values;
}

// What looks at a tile while it is read.
struct NoWitness {
  __device__ void Raw(int32_t, const ChunkValues&) {}     // a chunk as the caller gave it
  __device__ void Masked(int32_t, const ChunkValues&) {}  // the tile's k-th chunk, before its edits
  __device__ void Edited(int32_t, float) {}               // a place in the tile and its new value
  __device__ void BadToken() {}                           // a token id of an edit is out of range
};

// Bias and penalties, for the tokens they touch.
template <class Group, class Witness>
__device__ void EditTile(const Row& row, const Tile& tile, float* z, Witness* witness) {
  const auto place_of = [&](int32_t token) {
    if (token >= 0 && token < row.logits.vocab_size) return tile.Place(token);
    witness->BadToken();
    return int32_t{-1};
  };
  for (int64_t i = Group::Rank(); i < row.bias_count; i += Group::Size()) {
    const int32_t place = place_of(row.bias_tokens[i]);
    if (place < 0) continue;
    z[place] = Canonical(AddBias(z[place], row.bias_values[i]));
    witness->Edited(place, z[place]);
  }
  if (row.bias_count > 0) Group::Sync();
  const RowParams& p = row.params;
  if (!p.HasPenalties()) return;
  for (int64_t i = Group::Rank(); i < row.history_count; i += Group::Size()) {
    const HistoryEntry entry = row.history[i];
    if (entry.token == kNoTokenId) continue;
    const int32_t place = place_of(entry.token);
    if (place < 0) continue;
    const uint32_t count = entry.output_count + (p.penalize_prompt ? entry.prompt_count : 0);
    const float repeated = PenalizeRepetition(z[place], p.repetition_penalty);
    const float frequent = PenalizeFrequency(repeated, count, p.frequency_penalty);
    z[place] = Canonical(PenalizePresence(frequent, count, p.presence_penalty));
    witness->Edited(place, z[place]);
  }
  if (row.history_count > 0) Group::Sync();
}

// Into z[tile.chunks * kChunk], aligned to 16 bytes; to be read after this returns, by the threads of the group.
template <DType kDType, class Group, class Witness>
__device__ void LoadTile(const Row& row, const Tile& tile, float* z, Witness* witness) {
  constexpr int kAhead = 4;  // chunks that a warp has on their way at a time
  const bool is_vector_row = IsVectorRow<kDType>(row.logits);
  for (int32_t from = Group::WarpIndex(); from < tile.chunks; from += kAhead * Group::Warps()) {
    ChunkValues ahead[kAhead];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int32_t k = from + a * Group::Warps();
      if (k < tile.chunks) ahead[a] = ReadChunk<kDType>(row.logits, tile.Chunk(k), is_vector_row);
    }
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int32_t k = from + a * Group::Warps();
      if (k >= tile.chunks) break;
      ChunkValues& values = ahead[a];
      const int32_t begin = tile.Chunk(k) * kChunk;
      witness->Raw(tile.Chunk(k), values);
#pragma unroll
      for (int j = 0; j < kLaneValues; ++j) {
        const int32_t token = begin + values.Slot(j);
        const bool is_banned =
            row.token_bitmask && token < row.logits.vocab_size && !IsAllowed(row.token_bitmask, token);
        values.x[j] = is_banned ? kNegativeInfinity : Canonical(values.x[j]);
      }
      witness->Masked(k, values);
      float* to = z + k * kChunk;
      if (values.is_vector) {
        *reinterpret_cast<float4*>(to + Lane() * 4) = make_float4(values.x[0], values.x[1], values.x[2], values.x[3]);
        *reinterpret_cast<float4*>(to + kChunk / 2 + Lane() * 4) =
            make_float4(values.x[4], values.x[5], values.x[6], values.x[7]);
      } else {
#pragma unroll
        for (int j = 0; j < kLaneValues; ++j) to[values.Slot(j)] = values.x[j];
      }
    }
  }
  Group::Sync();
  EditTile<Group>(row, tile, z, witness);
}

}  // namespace nexttoken
