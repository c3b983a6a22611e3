// Steps 9 to 11 of the sampling contract: the cut, found exactly.
//
// Whatever is kept is a prefix in rank order, so one Cut says it all. It is looked for among few candidates: what the
// maxima (top_k) or an estimate (top_p) leave. Their measure (how many, or how heavy) is bisected over the order of
// float32 until a handful is left or all that are left are equal.
#pragma once

#include <cstdint>

#include "row_bracket.h"

namespace nexttoken {
namespace {

struct ByCount {
  uint64_t AtLeast(const List& list, float bound) const { return CountAtLeast(list, bound); }
  uint64_t Of(float) const { return 1; }
};

struct ByWeight {
  Weigher weigh;
  uint64_t AtLeast(const List& list, float bound) const { return MassAtLeast(list, weigh, bound); }
  uint64_t Of(float z) const { return weigh.Of(z); }
};

// Copies to `to` (which may be `list` itself) what `choose` gives a mask for.
template <class Choose>
void Keep(const List& list, List* to, Choose choose) {
  int32_t count = 0;
  ForEachVector(list, 0, list.count, [&](Mask lanes, Floats z, int32_t first) {
    const Mask mask = And(lanes, choose(z, first));
    CompressIds(mask, list.ids + first, to->ids + count);
    count += Compress(mask, z, to->z + count);
  });
  to->count = count;
}

// Between two finite logits, above the lower.
float MiddleKey(float low, float high) {
  const uint32_t key = OrderKey(low);
  return FloatOfKey(key + (OrderKey(high) - key + 1) / 2);
}
float MiddleValue(float low, float high) {
  const float middle = low * 0.5f + high * 0.5f;  // their sum might overflow
  return middle > low ? middle : MiddleKey(low, high);
}

// The end of the shortest prefix of `list`, in rank order, whose measure reaches `need`. Preconditions: 1 <= need <=
// the measure of all; every token weighs at least 1; no -0.0. `scratch` has room for the list.
template <class Measure>
Cut SelectPrefix(const List& list, List scratch, const Measure& measure, uint64_t need) {
  constexpr int32_t kFew = 24;
  List left = list;
  // The middle value halves a list of usual logits. Where it does not, the middle key is next: keys, most of which lie
  // near 0, need at most 32 steps for any list, so that both together need some 64.
  bool by_value = true;
  while (left.count > kFew) {
    Floats low = Fill(left.z[0]);
    Floats high = low;
    ForEachVector(left, 0, left.count, [&](Mask lanes, Floats z, int32_t) {
      low = Min(low, Select(lanes, z, low));
      high = Max(high, Select(lanes, z, high));
    });
    const float lowest = SmallestLane(low);
    const float highest = LargestLane(high);
    if (lowest == highest) {  // the lower id ranks first
      return {OrderKey(lowest), left.ids[(need - 1) / measure.Of(lowest)]};
    }
    const float pivot = by_value ? MiddleValue(lowest, highest) : MiddleKey(lowest, highest);
    const uint64_t above = measure.AtLeast(left, pivot);
    if (above >= need) {
      Keep(left, &scratch, [&](Floats z, int32_t) { return AtLeast(z, Fill(pivot)); });
    } else {
      need -= above;
      Keep(left, &scratch, [&](Floats z, int32_t) { return Above(Fill(pivot), z); });
    }
    if (scratch.count > left.count / 4 * 3) by_value = !by_value;
    left = scratch;
  }
  // By insertion, stable: by logit, descending, then by id, ascending.
  float z[kFew];
  int32_t ids[kFew];
  for (int32_t i = 0; i < left.count; ++i) {
    int32_t place = i;
    for (; place > 0 && z[place - 1] < left.z[i]; --place) {
      z[place] = z[place - 1];
      ids[place] = ids[place - 1];
    }
    z[place] = left.z[i];
    ids[place] = left.ids[i];
  }
  int32_t last = 0;
  for (uint64_t reached = measure.Of(z[0]); reached < need; reached += measure.Of(z[++last])) {
  }
  return {OrderKey(z[last]), ids[last]};
}

// Which lanes are kept: id(lane) gives a lane's token.
template <class Id>
NEXTTOKEN_INLINE Mask KeptLanes(Floats z, const Cut& cut, Id id) {
  const Floats last = Fill(FloatOfKey(cut.key));
  const Mask above = Above(z, last);
  uint32_t equal = Bits(Same(z, last));
  if (!equal) return above;
  uint32_t kept = Bits(above);
  for (; equal; equal &= equal - 1) {
    const int lane = __builtin_ctz(equal);
    kept |= static_cast<uint32_t>(id(lane) <= cut.token) << lane;
  }
  return MaskOf(kept);
}

void Apply(const Cut& cut, List* list) {
  Keep(*list, list,
       [&](Floats z, int32_t first) { return KeptLanes(z, cut, [&](int lane) { return list->ids[first + lane]; }); });
}

// What is left after the cuts. A short prefix is in a list; a long one is the row's tokens up to the cut, which the
// list does not hold.
struct Kept {
  Weigher weigh;
  Cut cut;  // of all tokens: what it keeps is kept
  bool is_list;
  List list;
  uint64_t* masses;  // [parts] of the list's chunks or of the row's groups; only what is kept counts
  int32_t parts;
  uint64_t mass;  // of all
};

struct CutWorkspace {
  List list;         // [vocab]
  List scratch;      // [vocab]
  uint64_t* masses;  // [groups] of groups or chunks
  int32_t* starts;   // [groups + 1] where each group begins in the list
  Sample sample;
};

// One read of the row: the list of the tokens in the bracket, the mass of those above it, by group too, and of the
// rest.
struct BracketSums {
  uint64_t rest;
  uint64_t above;
};

// What becomes of a row's tokens in that read.
enum class Split {
  kThreeWays,    // listed in the bracket, summed above it; the rest is all
  kTwoWays,      // listed from the bracket's lowest on; the rest is below
  kNarrowBelow,  // the same where all that is below is narrow
};

template <Split kSplit, DType kDType>
NEXTTOKEN_INLINE void SplitGroup(const RowBlocks& row, int32_t group, const Weigher& weigh, const Bracket& bracket,
                                 List* list, uint64_t* rest_mass, uint64_t* above_mass) {
  NarrowSum narrow;
  WideSum wide;
  WideSum above;
  const Floats lowest = Fill(bracket.lowest);
  for (int32_t b = 0; b < kBlocksInGroup; ++b) {
    const int32_t block = group * kBlocksInGroup + b;
    Floats x[kBlockVectors];
    Floats weights[kBlockVectors];
    LoadBlock<kDType>(row, block, x);
    weigh.Block(x, weights);
    for (int v = 0; v < kBlockVectors; ++v) {
      Mask inside = AtLeast(x[v], lowest);
      if constexpr (kSplit == Split::kThreeWays) {
        const Mask over = AtLeast(x[v], Fill(bracket.above));
        AddFloor(&wide, &above, over, weights[v]);
        inside = Except(inside, over);
      } else if constexpr (kSplit == Split::kTwoWays) {
        AddFloor(&wide, Where(Above(lowest, x[v]), weights[v]));
      } else {
        AddFloor(&narrow, Where(Above(lowest, x[v]), weights[v]));
      }
      // Without a branch: whether a vector has any is what a processor guesses worst.
      Append(inside, x[v], block * kBlock + v * kLanes, list);
    }
  }
  *rest_mass = kSplit == Split::kNarrowBelow ? Total(narrow) : Total(wide);
  *above_mass = kSplit == Split::kThreeWays ? Total(above) : 0;
}

template <Split kSplit, DType kDType>
BracketSums SplitRow(const RowBlocks& row, const Maxima& maxima, const Weigher& weigh, const Bracket& bracket,
                     CutWorkspace* workspace) {
  BracketSums sums = {0, 0};
  List* list = &workspace->list;
  list->count = 0;
  for (int32_t group = 0; group < row.groups; ++group) {
    workspace->starts[group] = list->count;
    uint64_t rest;
    uint64_t above = 0;
    if (maxima.groups[group] >= bracket.lowest) {
      SplitGroup<kSplit, kDType>(row, group, weigh, bracket, list, &rest, &above);
    } else {
      rest = MassOfGroup<kDType>(row, maxima, group, weigh);
    }
    workspace->masses[group] = above;
    sums.rest += rest;
    sums.above += above;
  }
  workspace->starts[row.groups] = list->count;
  return sums;
}

// To the masses above the bracket, by group, adds those of the list's tokens that the cut keeps. Returns the sum of
// all.
uint64_t AddKept(const CutWorkspace& workspace, int32_t groups, const Weigher& weigh, const Cut& cut) {
  const List& list = workspace.list;
  uint64_t mass = 0;
  for (int32_t group = 0; group < groups; ++group) {
    WideSum sum;
    ForEachVector(list, workspace.starts[group], workspace.starts[group + 1], [&](Mask lanes, Floats z, int32_t first) {
      const Mask kept = KeptLanes(z, cut, [&](int lane) { return list.ids[first + lane]; });
      AddFloor(&sum, Where(And(lanes, kept), weigh(z)));
    });
    workspace.masses[group] += Total(sum);
    mass += workspace.masses[group];
  }
  return mass;
}

// top_p of a list.
void CutListByMass(double top_p, const CutWorkspace& workspace, Kept* kept) {
  kept->mass = MassOfList(kept->list, kept->weigh, kept->masses);
  const uint64_t need = NeededMass(top_p, kept->mass);
  if (need >= kept->mass) return;
  kept->cut = SelectPrefix(kept->list, workspace.scratch, ByWeight{kept->weigh}, need);
  Apply(kept->cut, &kept->list);
  kept->mass = MassOfList(kept->list, kept->weigh, kept->masses);
}

// top_p of the whole row.
template <DType kDType>
void CutRowByMass(const RowBlocks& row, const Maxima& maxima, double top_p, CutWorkspace* workspace, Kept* kept) {
  const Weigher& weigh = kept->weigh;
  const float infinity = -kNegativeInfinity;
  Bracket bracket = EstimateCut<kDType>(row, maxima, weigh, top_p, workspace->sample);
  for (;;) {
    const BracketSums sums =
        bracket.above < infinity         ? SplitRow<Split::kThreeWays, kDType>(row, maxima, weigh, bracket, workspace)
        : weigh.IsNarrow(bracket.lowest) ? SplitRow<Split::kNarrowBelow, kDType>(row, maxima, weigh, bracket, workspace)
                                         : SplitRow<Split::kTwoWays, kDType>(row, maxima, weigh, bracket, workspace);
    const List& list = workspace->list;
    const uint64_t inside = MassAtLeast(list, weigh, weigh.floor);
    const uint64_t all = sums.rest + (bracket.above < infinity ? 0 : inside);
    const uint64_t need = NeededMass(top_p, all);
    if (need >= all) break;  // nothing is dropped
    if (need <= sums.above) {
      bracket = {bracket.above, infinity};
      continue;
    }
    if (need > sums.above + inside) {
      bracket = {weigh.floor, bracket.lowest};
      continue;
    }
    kept->cut = SelectPrefix(list, workspace->scratch, ByWeight{weigh}, need - sums.above);
    if (bracket.above == infinity) {
      kept->is_list = true;
      kept->list = list;
      Apply(kept->cut, &kept->list);
      kept->mass = MassOfList(kept->list, weigh, kept->masses);
    } else {
      kept->mass = AddKept(*workspace, row.groups, weigh, kept->cut);
    }
    return;
  }
  kept->mass = MassOfRow<kDType>(row, maxima, weigh, kept->masses);
}

// Precondition: the row's maximum is finite.
template <DType kDType>
Kept CutRow(const RowBlocks& row, const Maxima& maxima, const RowParams& params, CutWorkspace* workspace) {
  const float scale = ScaleOf(params.temperature);
  const float floor = LowestOfWeight(MinWeight(params.min_p), maxima.max, scale);
  const Cut everything = {OrderKey(floor), INT32_MAX};
  Kept kept = {{maxima.max, scale, floor}, everything, false, workspace->list, workspace->masses, 0, 0};
  if (params.top_k > 0 && params.top_k < row.view.vocab_size) {
    const float reached = BoundOfTopK(maxima, params.top_k);
    const float bound = reached > floor ? reached : floor;
    Collect<kDType>(row, maxima, bound, &kept.list);
    kept.cut.key = OrderKey(bound);
    kept.is_list = true;
    if (kept.list.count > params.top_k) {
      kept.cut = SelectPrefix(kept.list, workspace->scratch, ByCount{}, static_cast<uint64_t>(params.top_k));
      Apply(kept.cut, &kept.list);
    }
    CutListByMass(params.top_p, *workspace, &kept);
  } else if (params.top_p < 1.0) {
    CutRowByMass<kDType>(row, maxima, params.top_p, workspace, &kept);
  } else {
    kept.mass = MassOfRow<kDType>(row, maxima, kept.weigh, kept.masses);
  }
  kept.parts = kept.is_list ? ChunksOf(kept.list) : row.groups;
  return kept;
}

}  // namespace
}  // namespace nexttoken
