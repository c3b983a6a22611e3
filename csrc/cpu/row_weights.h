// Step 8 of the sampling contract over vectors: weights, and their exact sums over a row's groups or a list's chunks.
//
// No pass keeps the weights: they are made anew where they are needed, which costs less than to write and read eight
// bytes a token.
#pragma once

#include <cstdint>

#include "nexttoken/filter.h"
#include "nexttoken/weight.h"
#include "row_maxima.h"

namespace nexttoken {
namespace {

// WeightOf of weight.h before its floor is taken, 0 below `floor`: the same operations on the same values, scaled by
// 2^42 throughout.
struct Weigher {
  float max;    // of the row, finite
  float scale;  // of the temperature
  float floor;  // the lowest logit of the least weight that counts

  NEXTTOKEN_INLINE Floats operator()(Floats z) const {
    Floats weight;
    Weigh<1, true>(&z, &weight);
    return weight;
  }

  // kBlockVectors of them. Where not exact, the fraction keeps its last bits and there is no floor: for logprobs.
  template <bool kExact = true>
  NEXTTOKEN_INLINE void Block(const Floats* z, Floats* weights) const {
    for (int v = 0; v < kBlockVectors; v += kAtOnce) Weigh<kAtOnce, kExact>(z + v, weights + v);
  }

  uint64_t Of(float z) const { return WeightOf(z, max, scale); }

  // Whether the weights of a group fit a NarrowSum, where `z` is its largest logit: each lane then adds up kGroup /
  // kLanes weights below 2^32 / (kGroup / kLanes). With a quarter of a power of two to spare, because t is rounded.
  bool IsNarrow(float z) const { return (z - max) * scale < kNarrow; }
  static constexpr int kSumsInLane = kGroup / kLanes;
  static constexpr float kNarrow = -(kWeightBits - 32 + __builtin_ctz(kSumsInLane)) - 0.25f;

  static constexpr float kUnit = static_cast<float>(kMaxWeight);
  static constexpr int kAtOnce = 4;

  // Step after step for several vectors: one after the other they would wait for each other in the processor's queues.
  template <int kCount, bool kExact>
  NEXTTOKEN_INLINE void Weigh(const Floats* z, Floats* weights) const {
    const Floats half = Fill(0.5f);
    Floats n[kCount];
    Floats f[kCount];
    Floats q[kCount];
    for (int i = 0; i < kCount; ++i) f[i] = Sub(z[i], Fill(max));
    for (int i = 0; i < kCount; ++i) f[i] = Mul(f[i], Fill(scale));
    for (int i = 0; i < kCount && !kExact; ++i) f[i] = Max(f[i], Fill(-60.0f));
    for (int i = 0; i < kCount; ++i) n[i] = Round(f[i]);
    for (int i = 0; i < kCount; ++i) f[i] = Sub(f[i], n[i]);
    for (int i = 0; i < kCount && kExact; ++i) f[i] = Sub(f[i], half);
    for (int i = 0; i < kCount && kExact; ++i) f[i] = Add(f[i], half);
    for (int i = 0; i < kCount; ++i) q[i] = Fill(Exp2Coefficient(kExp2Degree) * kUnit);
    for (int power = kExp2Degree - 1; power >= 0; --power) {
      for (int i = 0; i < kCount; ++i) q[i] = MulAdd(q[i], f[i], Fill(Exp2Coefficient(power) * kUnit));
    }
    for (int i = 0; i < kCount; ++i) q[i] = TimesPowerOfTwo(q[i], n[i]);
    for (int i = 0; i < kCount; ++i) weights[i] = kExact ? Where(AtLeast(z[i], Fill(floor)), q[i]) : q[i];
  }
};

// The lowest finite logit that weighs at least `least` (in [1, 2^42]): weights never decrease as logits grow.
float LowestOfWeight(uint64_t least, float max, float scale) {
  uint32_t below = OrderKey(kNegativeInfinity);
  uint32_t reached = OrderKey(max);
  // Nearly always it lies where the exponent says, give or take rounding.
  const double guess =
      static_cast<double>(max) +
      (__builtin_log(static_cast<double>(least)) * 1.4426950408889634 - kWeightBits) / static_cast<double>(scale);
  const double slack = 1e-5 * (static_cast<double>(max) - guess) + 1e-5 * __builtin_fabs(static_cast<double>(max));
  for (int side = 1; side >= -1; side -= 2) {
    const double at = guess + side * slack;
    if (!(at > -3e38 && at < static_cast<double>(max))) continue;
    const float z = static_cast<float>(at) + 0.0f;
    (WeightOf(z, max, scale) >= least ? reached : below) = OrderKey(z);
  }
  while (reached - below > 1) {
    const uint32_t middle = below + (reached - below) / 2;
    (WeightOf(FloatOfKey(middle), max, scale) >= least ? reached : below) = middle;
  }
  return FloatOfKey(reached);
}

// Logits and ids of some tokens, by ascending id. Both arrays have room for kColumns more than they ever hold.
struct List {
  float* z;
  int32_t* ids;
  int32_t count;
};

NEXTTOKEN_INLINE Mask LanesBelow(int32_t count) {
  return MaskOf(count >= kLanes ? (1u << kLanes) - 1 : (1u << count) - 1);
}

// Calls take(mask of lanes, vector, index of its first) over a list's logits.
template <class Take>
NEXTTOKEN_INLINE void ForEachVector(const List& list, int32_t from, int32_t to, Take take) {
  for (int32_t i = from; i < to; i += kLanes) take(LanesBelow(to - i), Load(list.z + i), i);
}

// ---- Sums over a row ----------------------------------------------------------------------------------------------

template <class Sum, DType kDType>
NEXTTOKEN_INLINE uint64_t MassOfGroupAs(const RowBlocks& row, int32_t group, const Weigher& weigh) {
  Sum sum;
  for (int32_t b = 0; b < kBlocksInGroup; ++b) {
    Floats x[kBlockVectors];
    LoadBlock<kDType>(row, group * kBlocksInGroup + b, x);
    weigh.Block(x, x);
    for (int v = 0; v < kBlockVectors; ++v) AddFloor(&sum, x[v]);
  }
  return Total(sum);
}

template <DType kDType>
NEXTTOKEN_INLINE uint64_t MassOfGroup(const RowBlocks& row, const Maxima& maxima, int32_t group, const Weigher& weigh) {
  const float largest = maxima.groups[group];
  if (largest < weigh.floor) return 0;
  return weigh.IsNarrow(largest) ? MassOfGroupAs<NarrowSum, kDType>(row, group, weigh)
                                 : MassOfGroupAs<WideSum, kDType>(row, group, weigh);
}

// Of all tokens from the floor on. masses: [groups].
template <DType kDType>
uint64_t MassOfRow(const RowBlocks& row, const Maxima& maxima, const Weigher& weigh, uint64_t* masses) {
  uint64_t mass = 0;
  for (int32_t group = 0; group < row.groups; ++group) {
    masses[group] = MassOfGroup<kDType>(row, maxima, group, weigh);
    mass += masses[group];
  }
  return mass;
}

// ---- Sums over a list ---------------------------------------------------------------------------------------------

int32_t ChunksOf(const List& list) {
  return (list.count + kGroup - 1) / kGroup;
}

// Of the tokens from..to of a list, at `bound` and above: at most kGroup of them.
NEXTTOKEN_INLINE uint64_t MassAtLeast(const List& list, int32_t from, int32_t to, const Weigher& weigh, float bound) {
  WideSum sum;
  for (; from + kBlock <= to; from += kBlock) {
    Floats z[kBlockVectors];
    Floats weights[kBlockVectors];
    for (int v = 0; v < kBlockVectors; ++v) z[v] = Load(list.z + from + v * kLanes);
    weigh.Block(z, weights);
    for (int v = 0; v < kBlockVectors; ++v) AddFloor(&sum, Where(AtLeast(z[v], Fill(bound)), weights[v]));
  }
  ForEachVector(list, from, to, [&](Mask lanes, Floats z, int32_t) {
    AddFloor(&sum, Where(And(lanes, AtLeast(z, Fill(bound))), weigh(z)));
  });
  return Total(sum);
}

uint64_t MassAtLeast(const List& list, const Weigher& weigh, float bound) {
  uint64_t mass = 0;
  for (int32_t from = 0; from < list.count; from += kGroup) {
    const int32_t to = from + kGroup < list.count ? from + kGroup : list.count;
    mass += MassAtLeast(list, from, to, weigh, bound);
  }
  return mass;
}

uint64_t CountAtLeast(const List& list, float bound) {
  uint64_t found = 0;
  ForEachVector(list, 0, list.count, [&](Mask lanes, Floats z, int32_t) {
    found += static_cast<uint64_t>(__builtin_popcount(Bits(And(lanes, AtLeast(z, Fill(bound))))));
  });
  return found;
}

// Of all of the list, in chunks of kGroup. masses: [ChunksOf(list)].
uint64_t MassOfList(const List& list, const Weigher& weigh, uint64_t* masses) {
  uint64_t mass = 0;
  for (int32_t chunk = 0; chunk < ChunksOf(list); ++chunk) {
    const int32_t from = chunk * kGroup;
    const int32_t to = from + kGroup < list.count ? from + kGroup : list.count;
    masses[chunk] = MassAtLeast(list, from, to, weigh, weigh.floor);
    mass += masses[chunk];
  }
  return mass;
}

// ---- Lists from a row ---------------------------------------------------------------------------------------------

// Appends the lanes of `mask`. Zeros become +0.0: equal logits are then equal keys.
NEXTTOKEN_INLINE void Append(Mask mask, Floats z, int32_t first_id, List* list) {
  CompressIds(mask, first_id, list->ids + list->count);
  list->count += Compress(mask, Add(z, Fill(0.0f)), list->z + list->count);
}

// All tokens at `bound` and above.
template <DType kDType>
void Collect(const RowBlocks& row, const Maxima& maxima, float bound, List* list) {
  list->count = 0;
  for (int32_t group = 0; group < row.groups; ++group) {
    if (!(maxima.groups[group] >= bound)) continue;
    for (int32_t block = group * kBlocksInGroup; block < (group + 1) * kBlocksInGroup; ++block) {
      Floats x[kBlockVectors];
      LoadBlock<kDType>(row, block, x);
      for (int v = 0; v < kBlockVectors; ++v) {
        const Mask mask = AtLeast(x[v], Fill(bound));
        if (Bits(mask)) Append(mask, x[v], block * kBlock + v * kLanes, list);
      }
    }
  }
}

}  // namespace
}  // namespace nexttoken
