// Step 7 of the sampling contract, and what the same read of the row tells of where its large values are.
#pragma once

#include <cstdint>

#include "nexttoken/filter.h"
#include "row_blocks.h"

namespace nexttoken {
namespace {

// A group of 256 logits is 16 rows of 16 columns: maxima of columns need no step across lanes, whatever their number.
constexpr int32_t kColumns = 16;
constexpr int kColumnVectors = kColumns / kLanes;

struct Maxima {
  float* columns;  // [groups * kColumns]
  float* groups;   // [groups], padded with -inf to a multiple of kColumns
  int32_t count;   // of groups
  float max;       // of the row; +0.0 where it is a zero
  bool has_nan;
};

int32_t PaddedGroups(int32_t groups) {
  return (groups + kColumns - 1) / kColumns * kColumns;
}

// Of values that go on with -inf to a multiple of kColumns.
float Largest(const float* values, int32_t count) {
  Floats largest = Fill(kNegativeInfinity);
  for (int32_t i = 0; i < count; i += kLanes) largest = Max(largest, Load(values + i));
  return LargestLane(largest);
}

template <DType kDType>
void FindMaxima(const RowBlocks& row, Maxima* maxima) {
  Mask nan = MaskOf(0);
  for (int32_t group = 0; group < row.groups; ++group) {
    Floats column[kColumnVectors];
    for (int32_t b = 0; b < kBlocksInGroup; ++b) {
      Floats x[kBlockVectors];
      LoadBlock<kDType>(row, group * kBlocksInGroup + b, x);
      for (int v = 0; v < kBlockVectors; v += 2) nan = Or(nan, Unordered(x[v], x[v + 1]));
      for (int v = 0; v < kBlockVectors; ++v) {
        Floats* best = &column[v % kColumnVectors];
        *best = b == 0 && v < kColumnVectors ? x[v] : Max(*best, x[v]);
      }
    }
    Floats best = column[0];
    for (int c = 0; c < kColumnVectors; ++c) {
      Store(maxima->columns + group * kColumns + c * kLanes, column[c]);
      best = Max(best, column[c]);
    }
    maxima->groups[group] = LargestLane(best);
  }
  for (int32_t group = row.groups; group < PaddedGroups(row.groups); ++group) {
    maxima->groups[group] = kNegativeInfinity;
  }
  maxima->count = row.groups;
  maxima->max = Canonical(Largest(maxima->groups, maxima->count));
  maxima->has_nan = row.has_nan || Bits(nan) != 0;
}

// The lowest token at `value`, which is somewhere in the row.
template <DType kDType>
int32_t FirstEqual(const RowBlocks& row, const Maxima& maxima, float value) {
  int32_t group = 0;
  while (group < maxima.count - 1 && !(maxima.groups[group] >= value)) ++group;
  for (int32_t block = group * kBlocksInGroup;; ++block) {
    Floats x[kBlockVectors];
    LoadBlock<kDType>(row, block, x);
    for (int v = 0; v < kBlockVectors; ++v) {
      const uint32_t bits = Bits(Same(x[v], Fill(value)));
      if (bits) return block * kBlock + v * kLanes + __builtin_ctz(bits);
    }
  }
}

int32_t CountAtLeast(const float* values, int32_t count, float bound) {
  int32_t found = 0;
  for (int32_t i = 0; i < count; i += kLanes) {
    found += __builtin_popcount(Bits(AtLeast(Load(values + i), Fill(bound))));
  }
  return found;
}

// A bound that at least k of `values` reach, and few more unless they are equal. Precondition: k <= count, and values
// go on with -inf to a multiple of kColumns.
float BoundOfLargest(const float* values, int32_t count, int32_t k) {
  uint32_t reached = OrderKey(kNegativeInfinity);
  uint32_t beyond = OrderKey(-kNegativeInfinity) + 1;
  while (beyond - reached > 1) {
    const uint32_t middle = reached + (beyond - reached) / 2;
    const int32_t found = CountAtLeast(values, count, FloatOfKey(middle));
    if (found < k) {
      beyond = middle;
    } else {
      reached = middle;
      if (found <= k + k / 8) break;
    }
  }
  return FloatOfKey(reached);
}

// A value that at least k tokens reach, from what the maxima tell; -inf where they tell too little.
float BoundOfTopK(const Maxima& maxima, int32_t k) {
  if (k <= maxima.count / 2) return BoundOfLargest(maxima.groups, maxima.count, k);
  const int32_t columns = maxima.count * kColumns;
  return k <= columns / 2 ? BoundOfLargest(maxima.columns, columns, k) : kNegativeInfinity;
}

}  // namespace
}  // namespace nexttoken
