// Where the logit of the top_p cut probably lies: an estimate that saves passes and never decides anything.
//
// A token's weight counts once if it is the largest of its group, exactly; for all others stands a sample of every
// other group, or of every few. So a nucleus of a handful and one of most of the row are both seen. row_cut.h checks
// the outcome exactly and widens a bracket that missed.
#pragma once

#include <cstdint>

#include "row_weights.h"

namespace nexttoken {
namespace {

// Tokens at `above` and higher are before the cut; the cut is among those from `lowest` on.
struct Bracket {
  float lowest;
  float above;
};

constexpr int32_t kSampledGroups = 128;  // at most; each gives one row of its columns
constexpr int32_t kSampleSize = kSampledGroups * kColumns;
constexpr int kBisections = 12;
constexpr float kDeviations = 3.0f;

struct Sample {
  float* z;        // [PaddedGroups(groups) + kSampleSize] first the maxima of groups, then the sample
  float* weights;  // the same, the largest 1; 0 for what does not count
  int32_t maxima;
  int32_t count;  // of both
  float share;    // how many tokens one of the sample stands for
};

struct TailSums {
  float maxima;
  float sampled;
  float squares;
};

// Over tokens below `bound`; with +inf, over all.
TailSums TailBelow(const Sample& sample, float bound) {
  Floats sums[3] = {Fill(0.0f), Fill(0.0f), Fill(0.0f)};
  for (int32_t i = 0; i < sample.maxima; i += kLanes) {
    const Mask below = Above(Fill(bound), Load(sample.z + i));
    sums[0] = Add(sums[0], Where(below, Load(sample.weights + i)));
  }
  for (int32_t i = sample.maxima; i < sample.count; i += kLanes) {
    const Floats w = Where(Above(Fill(bound), Load(sample.z + i)), Load(sample.weights + i));
    sums[1] = Add(sums[1], w);
    sums[2] = Add(sums[2], Mul(w, w));
  }
  return {static_cast<float>(SumOfLanes(sums[0])), static_cast<float>(SumOfLanes(sums[1])),
          static_cast<float>(SumOfLanes(sums[2]))};
}

float CountFrom(const Sample& sample, float bound) {
  const auto maxima = static_cast<float>(CountAtLeast(sample.z, sample.maxima, bound));
  const auto sampled = static_cast<float>(CountAtLeast(sample.z + sample.maxima, sample.count - sample.maxima, bound));
  return maxima + sample.share * (sampled + kDeviations * __builtin_sqrtf(sampled + 1.0f));
}

template <DType kDType>
void TakeSample(const RowBlocks& row, const Maxima& maxima, const Weigher& weigh, Sample* sample) {
  const Floats unit = Fill(1.0f / Weigher::kUnit);
  const auto put = [&](int32_t at, Floats z, Mask counts) {
    Store(sample->z + at, Select(counts, z, Fill(kNegativeInfinity)));
    Store(sample->weights + at, Where(counts, Mul(weigh(z), unit)));
  };
  sample->maxima = PaddedGroups(maxima.count);
  for (int32_t i = 0; i < sample->maxima; i += kLanes) {
    const Floats z = Load(maxima.groups + i);
    put(i, z, AtLeast(z, Fill(weigh.floor)));
  }
  const int32_t stride = maxima.count / kSampledGroups + 2;
  int32_t at = sample->maxima;
  int32_t sampled = 0;
  for (int32_t group = 0; group < maxima.count; group += stride, ++sampled) {
    // (tests/contract/test_cuts.py misleads this choice, and must know it.) A different row of columns each time:
    // positions in a group are not all alike in a real vocabulary.
    const int32_t place = sampled * 5 % kColumns;
    Floats x[kBlockVectors];
    LoadBlock<kDType>(row, group * kBlocksInGroup + place % kBlocksInGroup, x);
    const int first = place / kBlocksInGroup * kColumnVectors;
    for (int v = first; v < first + kColumnVectors; ++v, at += kLanes) {
      const Mask largest = Same(x[v], Fill(maxima.groups[group]));  // counted already
      put(at, x[v], Except(AtLeast(x[v], Fill(weigh.floor)), largest));
    }
  }
  sample->count = at;
  sample->share = static_cast<float>(maxima.count * kColumns) / static_cast<float>(sampled);
}

// The highest logit below which the mass (the largest weight is 1) is surely at most `mass`, or with kSurelyMost false
// the lowest below which it is surely at least that. Looks from `low` up; returns `low`, or the row's maximum, where
// there is none.
template <bool kSurelyMost>
float BoundOfTail(const Sample& sample, const Weigher& weigh, float mass, float low) {
  float high = weigh.max;
  for (int i = 0; i < kBisections; ++i) {
    const float middle = low + (high - low) * 0.5f;
    const TailSums tail = TailBelow(sample, middle);
    // As if one more token of the bound's weight had been sampled, for where none was.
    const float one = static_cast<float>(weigh.Of(middle)) / Weigher::kUnit;
    const float error = kDeviations * sample.share * __builtin_sqrtf(tail.squares + one * one);
    const float likely = tail.maxima + sample.share * tail.sampled;
    (kSurelyMost ? likely + error <= mass : likely - error < mass) ? low = middle : high = middle;
  }
  return kSurelyMost ? low : high;
}

float LowestOf(const Sample& sample, const Weigher& weigh) {
  Floats lowest = Fill(weigh.max);
  for (int32_t i = 0; i < sample.count; i += kLanes) {
    const Floats z = Load(sample.z + i);
    lowest = Min(lowest, Select(Above(z, Fill(kNegativeInfinity)), z, lowest));
  }
  return SmallestLane(lowest);
}

// top_p < 1.
template <DType kDType>
Bracket EstimateCut(const RowBlocks& row, const Maxima& maxima, const Weigher& weigh, double top_p, Sample sample) {
  Bracket bracket = {weigh.floor, -kNegativeInfinity};
  if (maxima.count < 2 * kColumns) return bracket;
  TakeSample<kDType>(row, maxima, weigh, &sample);
  const TailSums all = TailBelow(sample, -kNegativeInfinity);
  const float likely = all.maxima + sample.share * all.sampled;
  const float spread = kDeviations * sample.share * __builtin_sqrtf(all.squares);
  const auto dropped = static_cast<float>(1.0 - top_p);
  const float least = dropped * (likely - spread > all.maxima ? likely - spread : all.maxima);
  const float lowest = LowestOf(sample, weigh);
  const float bound = BoundOfTail<true>(sample, weigh, least, lowest);
  if (bound > lowest) bracket.lowest = bound;
  // A nucleus that is a small part of the row is taken whole: there is nothing to miss above it.
  const float few = static_cast<float>(maxima.count * (kGroup / 16)) + 1024.0f;
  if (CountFrom(sample, bracket.lowest) <= few) {
    // And down to where weights become small, if that is not far: what is left is then quick to sum.
    const float narrow = weigh.max + (Weigher::kNarrow - 0.25f) / weigh.scale;
    if (bracket.lowest > narrow && narrow > weigh.floor && weigh.IsNarrow(narrow) && CountFrom(sample, narrow) <= few) {
      bracket.lowest = narrow;
    }
    return bracket;
  }
  const float above = BoundOfTail<false>(sample, weigh, dropped * (likely + spread), bracket.lowest);
  if (above < weigh.max) bracket.above = above;
  return bracket;
}

}  // namespace
}  // namespace nexttoken
