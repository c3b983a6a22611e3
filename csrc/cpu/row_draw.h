// Step 12 of the sampling contract: from a target to a token.
#pragma once

#include <cstdint>

#include "row_cut.h"

namespace nexttoken {
namespace {

// The weights of one group of the row, 0 where cut. weights: [kGroup].
template <DType kDType>
void WeightsOfGroup(const RowBlocks& row, int32_t group, const Kept& kept, uint64_t* weights) {
  for (int32_t b = 0; b < kBlocksInGroup; ++b) {
    const int32_t block = group * kBlocksInGroup + b;
    Floats x[kBlockVectors];
    LoadBlock<kDType>(row, block, x);
    Floats all[kBlockVectors];
    kept.weigh.Block(x, all);
    for (int v = 0; v < kBlockVectors; ++v) {
      const int32_t first = block * kBlock + v * kLanes;
      const Mask left = KeptLanes(x[v], kept.cut, [&](int lane) { return first + lane; });
      StoreFloor(Where(left, all[v]), weights + (first - group * kGroup));
    }
  }
}

// The masses of groups or chunks become running sums.
void RunningSums(Kept* kept) {
  for (int32_t part = 1; part < kept->parts; ++part) kept->masses[part] += kept->masses[part - 1];
}

// The first token, in id order, whose running sum exceeds `target`, which is below the mass of all. After RunningSums.
template <DType kDType>
int32_t TokenAt(const RowBlocks& row, const Kept& kept, uint64_t target) {
  int32_t part = 0;
  for (int32_t left = kept.parts; left > 1;) {  // it is in one of `left` parts from `part` on
    const int32_t half = left / 2;
    part += kept.masses[part + half - 1] <= target ? half : 0;
    left -= half;
  }
  if (part > 0) target -= kept.masses[part - 1];
  uint64_t weights[kGroup];
  if (kept.is_list) {
    const int32_t from = part * kGroup;
    const int32_t to = from + kGroup < kept.list.count ? from + kGroup : kept.list.count;
    ForEachVector(kept.list, from, to, [&](Mask lanes, Floats z, int32_t first) {
      StoreFloor(Where(lanes, kept.weigh(z)), weights + (first - from));
    });
  } else {
    WeightsOfGroup<kDType>(row, part, kept, weights);
  }
  int32_t place = 0;
  while (weights[place] <= target) target -= weights[place++];
  place += part * kGroup;
  return kept.is_list ? kept.list.ids[place] : place;
}

// All weights, 0 where cut. weights: [vocab_size].
template <DType kDType>
void WriteWeights(const RowBlocks& row, const Kept& kept, uint64_t* weights) {
  uint64_t some[kGroup];
  for (int32_t group = 0; group < row.groups; ++group) {
    WeightsOfGroup<kDType>(row, group, kept, some);
    const int32_t from = group * kGroup;
    const int32_t count = row.view.vocab_size - from < kGroup ? row.view.vocab_size - from : kGroup;
    memcpy(weights + from, some, sizeof(uint64_t) * static_cast<size_t>(count));
  }
}

}  // namespace
}  // namespace nexttoken
