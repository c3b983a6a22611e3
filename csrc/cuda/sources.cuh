// Where a cut is looked for: in the row's list, or in the row itself.
//
// ForEach(f) calls f(is_token, z, token) for every token of a source and for padding, for all lanes of a warp together.
#pragma once

#include <cstdint>

#include "row_memory.cuh"

namespace nexttoken {

struct ListSource {
  const Entry* entries;
  int32_t count;

  // A chunk of the row, of which only what is listed is not -inf. By one warp.
  __device__ void Load(int32_t chunk, float* z) const {
    __syncwarp();  // all lanes are done with the one before
    for (int j = 0; j < kLaneValues; ++j) z[j * kWarpSize + Lane()] = kNegativeInfinity;
    __syncwarp();
#pragma unroll 1
    for (int32_t i = Lane(); i < count; i += kWarpSize) {
      if (entries[i].token / kChunk == chunk) z[entries[i].token % kChunk] = entries[i].z;
    }
    __syncwarp();
  }

  template <class F>
  __device__ void ForEach(uint64_t, const F& f) const {
#pragma unroll 1
    for (int32_t from = Block::WarpIndex() * kWarpSize; from < count; from += Block::Size()) {
      const int32_t i = from + Lane();
      const Entry entry = i < count ? entries[i] : Entry{0.0f, 0};
      f(i < count, entry.z, entry.token);
    }
  }
};

// The row, read again, chunk by chunk: for rows whose candidates are too many to list, and for what is asked of few
// chunks.
template <DType kDType>
struct RowSource {
  const Row* row;
  const RowState* state;  // null: the caller's own logits, unedited
  const float* maxima;    // by chunk, of the same values
  float* buffers;         // [warps * kChunk]
  int warps;              // that work

  __device__ float* Buffer() const { return buffers + Block::WarpIndex() * kChunk; }

  __device__ float Seen(float z) const { return state ? state->Seen(z) : z; }

  // The chunk into the warp's buffer, as this source reads it: not yet as Seen.
  __device__ __noinline__ float* Load(int32_t chunk) const {
    float* z = Buffer();
    __syncwarp();  // all lanes are done with the one before
    NoWitness nobody;
    if (state) {
      LoadTile<kDType, Warp>(*row, TileOfChunk(chunk), z, &nobody);
    } else {
      LaneChunk x;
      ReadOneByOne<kDType>(row->logits, chunk, z, x);
      __syncwarp();
    }
    return z;
  }

  // Leaves out chunks all of whose tokens rank below `lowest`.
  template <class F>
  __device__ void ForEach(uint64_t lowest, const F& f) const {
    if (Block::WarpIndex() >= warps) return;
#pragma unroll 1
    for (int32_t chunk = Block::WarpIndex(); chunk < row->Chunks(); chunk += warps) {
      if (OrderKey(Canonical(Seen(maxima[chunk]))) < lowest >> 32) continue;
      const float* z = Load(chunk);
#pragma unroll 1
      for (int j = 0; j < kLaneValues; ++j) {
        const int place = j * kWarpSize + Lane();
        const int32_t token = chunk * kChunk + place;
        f(token < row->logits.vocab_size, Seen(z[place]), token);
      }
    }
  }
};

// The maxima of a source's chunks, each standing for its chunk's number.
template <class Source>
struct MaximaSource {
  const Source* source;

  template <class F>
  __device__ void ForEach(uint64_t, const F& f) const {
    const int32_t count = source->row->Chunks();
#pragma unroll 1
    for (int32_t from = Block::WarpIndex() * kWarpSize; from < count; from += Block::Size()) {
      const int32_t i = from + Lane();
      f(i < count, i < count ? source->Seen(Canonical(source->maxima[i])) : 0.0f, i);
    }
  }
};

}  // namespace nexttoken
