// Step 12 of the sampling contract: tokens by their place in the running sum of what is kept.
#pragma once

#include <cstdint>

#include "block/sums.cuh"
#include "nexttoken/philox.h"
#include "sources.cuh"

namespace nexttoken {

struct Drawn {
  int32_t token;
  float z;
};

// masses[chunks], by chunk, into running sums. Returns the sum of all.
__device__ inline uint64_t RunningMasses(uint64_t* masses, int32_t chunks, uint64_t* scratch) {
  const int32_t per_thread = (chunks + Block::Size() - 1) / Block::Size();
  const int32_t begin = Block::Rank() * per_thread;
  const int32_t end = begin + per_thread < chunks ? begin + per_thread : chunks;
  uint64_t mine = 0;
#pragma unroll 1
  for (int32_t i = begin; i < end; ++i) mine += masses[i];
  uint64_t all;
  uint64_t running = BlockRunningSum(mine, scratch, &all);
#pragma unroll 1
  for (int32_t i = begin; i < end; ++i) masses[i] = running += masses[i];
  Block::Sync();
  return all;
}

// The first of the ascending `sums` that exceeds target, which the last does. By one warp, the same for all lanes.
__device__ inline int32_t FirstExceeding(const uint64_t* sums, int32_t count, uint64_t target) {
  int32_t begin = 0;
#pragma unroll 1
  while (count > 1) {
    const int32_t step = (count + kWarpSize - 1) / kWarpSize;
    const int32_t last = (Lane() + 1) * step - 1;  // of this lane's part
    const bool exceeds = last >= count - 1 || sums[begin + last] > target;
    const int part = __ffs(static_cast<int>(__ballot_sync(kAllLanes, exceeds))) - 1;
    begin += part * step;
    count = part * step + step < count ? step : count - part * step;
  }
  return begin;
}

// By one warp, the same for all lanes. `running` are the sums that RunningMasses made; target is below the last. `list`
// holds all that is kept, or is empty.
template <DType kDType>
__device__ __noinline__ Drawn TokenAt(const RowSource<kDType>& source, const ListSource& list, const uint64_t* running,
                                      uint64_t target) {
  const RowState& state = *source.state;
  const int32_t chunk = FirstExceeding(running, source.row->Chunks(), target);
  if (chunk > 0) target -= running[chunk - 1];
  const float* z = source.Buffer();
  if (list.count > 0) {
    list.Load(chunk, source.Buffer());
  } else {
    source.Load(chunk);
  }
  const int32_t begin = chunk * kChunk + Lane() * kLaneValues;
  const auto weight_of = [&](int j) -> uint64_t {
    const int32_t token = begin + j;
    const float seen = source.Seen(z[Lane() * kLaneValues + j]);
    return token < source.row->logits.vocab_size && state.Keeps(seen, token) ? state.weigh(seen) : 0;
  };
  uint64_t mine = 0;
#pragma unroll 1
  for (int j = 0; j < kLaneValues; ++j) mine += weight_of(j);
  const uint64_t through = WarpRunningSum(mine);
  const unsigned exceeding = __ballot_sync(kAllLanes, through > target);
  const int lane = exceeding ? __ffs(static_cast<int>(exceeding)) - 1 : kWarpSize - 1;
  Drawn drawn = {kNoTokenId, 0.0f};
  if (Lane() == lane) {
    uint64_t running_sum = through - mine;
#pragma unroll 1
    for (int j = 0; j < kLaneValues; ++j) {
      running_sum += weight_of(j);
      if (running_sum <= target) continue;
      drawn = {begin + j, source.Seen(z[Lane() * kLaneValues + j])};
      break;
    }
  }
  drawn.token = __shfl_sync(kAllLanes, drawn.token, lane);
  drawn.z = __shfl_sync(kAllLanes, drawn.z, lane);
  return drawn;
}

// The lowest id among the tokens at the row's maximum. By one block, the same for all threads.
template <DType kDType>
__device__ __noinline__ Drawn FirstOfHighest(const RowSource<kDType>& source, uint64_t* scratch, uint32_t* counts) {
  const float max = source.state->max;
  uint32_t reversed = 0;  // the lowest chunk is the highest of these
#pragma unroll 1
  for (int32_t i = Block::Rank(); i < source.row->Chunks(); i += Block::Size()) {
    const auto key = static_cast<uint32_t>(source.row->Chunks() - i);
    if (source.maxima[i] == max && key > reversed) reversed = key;
  }
  const int32_t chunk = source.row->Chunks() - static_cast<int32_t>(BlockMax(reversed, scratch));
  if (Block::WarpIndex() == 0) {
    const float* z = source.Load(chunk);
#pragma unroll 1
    for (int j = 0; j < kLaneValues; ++j) {
      const unsigned equal = __ballot_sync(kAllLanes, z[j * kWarpSize + Lane()] == max);
      if (!equal) continue;
      const int place = j * kWarpSize + __ffs(static_cast<int>(equal)) - 1;
      if (Lane() == 0) counts[0] = static_cast<uint32_t>(chunk * kChunk + place);
      break;
    }
  }
  Block::Sync();
  const auto token = static_cast<int32_t>(counts[0]);
  Block::Sync();
  return {token, source.Seen(max)};
}

}  // namespace nexttoken
