// Step 13 of the sampling contract, for the row kernel: logprobs and the best tokens.
//
// They never decide a token, so their sums may be floats in any order. A term is exact to 2^-22.4 and to the rounding
// of its exponent: with 2^20 tokens where that hurts most, 1.4e-6 of the sum at temperature 1, and 1.9e-6 of what is
// kept at others, whose scale is rounded too. A group's terms are added by fours in float, then in double.
#pragma once

#include <cstdint>

#include "nexttoken/log_softmax.h"
#include "row_cut.h"

namespace nexttoken {
namespace {

// Over all tokens of the row, at temperature 1.
template <DType kDType>
LogSoftmax Normalize(const RowBlocks& row, const Maxima& maxima) {
  double sum = 0.0;
  if (maxima.max == -kNegativeInfinity) {  // those at +inf share it
    for (int32_t block = 0; block < row.groups * kBlocksInGroup; ++block) {
      Floats x[kBlockVectors];
      LoadBlock<kDType>(row, block, x);
      for (int v = 0; v < kBlockVectors; ++v) {
        sum += static_cast<double>(__builtin_popcount(Bits(Same(x[v], Fill(maxima.max)))));
      }
    }
    return {maxima.max, 1.0, __builtin_log(sum)};
  }
  const float scale = ScaleOf(1.0f);
  const Weigher weigh = {maxima.max, scale, kNegativeInfinity};
  const float lowest = maxima.max - static_cast<float>(kWeightBits) / scale;  // what is below adds nothing
  for (int32_t group = 0; group < row.groups; ++group) {
    if (!(maxima.groups[group] >= lowest)) continue;
    Floats sums[kBlocksInGroup];
    for (int32_t b = 0; b < kBlocksInGroup; ++b) {
      Floats x[kBlockVectors];
      LoadBlock<kDType>(row, group * kBlocksInGroup + b, x);
      weigh.Block<false>(x, x);
      sums[b] = x[0];
      for (int v = 1; v < kBlockVectors; ++v) sums[b] = Add(sums[b], x[v]);
    }
    sum += SumOfLanes(Add(Add(sums[0], sums[1]), Add(sums[2], sums[3])));
  }
  return {maxima.max, 1.0, __builtin_log(sum / static_cast<double>(kMaxWeight))};
}

// Over the tokens that are kept.
LogSoftmax NormalizeKept(const Kept& kept, float temperature) {
  const double sum = static_cast<double>(kept.mass) / static_cast<double>(kMaxWeight);
  return {kept.weigh.max, static_cast<double>(temperature), __builtin_log(sum)};
}

// The best tokens by (logit descending, id ascending); those of probability 0 are never among them.
struct TopList {
  int32_t count = 0;
  int32_t tokens[kMaxTopLogprobs];
  float logits[kMaxTopLogprobs];

  // Of those that `cut` keeps, where there is one. `list` is overwritten.
  template <DType kDType>
  void Take(const RowBlocks& row, const Maxima& maxima, const Cut* cut, int32_t capacity, List list) {
    count = 0;
    if (capacity <= 0) return;
    // Beside a +inf every finite logit has probability 0.
    const float largest_finite = FloatFromBits(0x7f7fffffu);
    const float possible = maxima.max > largest_finite ? maxima.max : -largest_finite;
    const float bound = BoundOfTopK(maxima, capacity);
    Collect<kDType>(row, maxima, bound > possible ? bound : possible, &list);
    for (int32_t i = 0; i < list.count; ++i) {
      const float z = list.z[i];
      if (count == capacity && !(z > logits[count - 1])) continue;
      if (cut && !cut->Keeps(OrderKey(z), list.ids[i])) continue;
      if (count < capacity) ++count;
      int32_t place = count - 1;
      for (; place > 0 && z > logits[place - 1]; --place) {
        logits[place] = logits[place - 1];
        tokens[place] = tokens[place - 1];
      }
      logits[place] = z;
      tokens[place] = list.ids[i];
    }
  }

  void Write(const LogSoftmax& softmax, const RowOutput& output) const {
    for (int32_t i = 0; i < output.top_capacity; ++i) {
      if (output.top_token_ids) output.top_token_ids[i] = i < count ? tokens[i] : kNoTokenId;
      if (output.top_logprobs) output.top_logprobs[i] = i < count ? softmax.Of(logits[i]) : kNegativeInfinity;
    }
  }
};

}  // namespace
}  // namespace nexttoken
