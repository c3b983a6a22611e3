// Where the logit of a row's cut probably lies: an estimate that saves work and never decides anything.
//
// A token counts once, exactly, if it is the largest of its chunk or in a hot one; for all others stands the sample.
// Both are counted in bins between the row's maximum and the lowest of them. cut_row.cuh checks the outcome exactly,
// and looks at the whole row where it missed.
#pragma once

#include <cstdint>

#include "block/sums.cuh"
#include "row_memory.cuh"

namespace nexttoken {

// Tokens at `above` and higher are before the cut; the cut is among those from `lowest` on.
struct Bracket {
  float lowest;
  float above;
};

constexpr float kDeviations = 3.0f;

// Sums over bins from the top. Masses are in units of the largest weight, at the middle of each bin.
struct BinSums {
  float exact_mass;
  float sampled_mass;
  float squares;
  uint32_t exact;
  uint32_t sampled;

  __device__ BinSums operator+(const BinSums& other) const {
    return {exact_mass + other.exact_mass, sampled_mass + other.sampled_mass, squares + other.squares,
            exact + other.exact, sampled + other.sampled};
  }
};

struct BinnedSample {
  uint32_t* exact;    // [kBracketBins]
  uint32_t* sampled;  // [kBracketBins]
  float max;
  float width;
  float inverse_width;
  float share;  // how many tokens one of the sample stands for

  __device__ int BinOf(float z) const {
    const float bin = (max - z) * inverse_width;
    return bin < kBracketBins - 1 ? static_cast<int>(bin) : kBracketBins - 1;
  }
  // The upper end of a bin. A little lower where a lower value is the safe one: BinOf is rounded.
  __device__ float EdgeOf(int bin, float slack) const { return max - (static_cast<float>(bin) + slack) * width; }

  __device__ BinSums Sums(int bin, float scale) const {
    const uint32_t in_exact = exact[bin];
    const uint32_t in_sample = sampled[bin];
    if (in_exact + in_sample == 0) return {};
    const float weight = exp2f(-(static_cast<float>(bin) + 0.5f) * width * scale);
    const auto count = static_cast<float>(in_sample);
    return {static_cast<float>(in_exact) * weight, count * weight, count * weight * weight, in_exact, in_sample};
  }
};

// All values that count, into bins.
__device__ inline void FillBins(const RowMemory& memory, const RowLayout& layout, float floor,
                                const BinnedSample& bins) {
#pragma unroll 1
  for (int bin = Block::Rank(); bin < kBracketBins; bin += Block::Size()) bins.exact[bin] = bins.sampled[bin] = 0;
  Block::Sync();
  const auto add = [&](float z, uint32_t* counters) {
    if (z >= floor && z > kNegativeInfinity) atomicAdd(&counters[bins.BinOf(z)], 1u);
  };
  ForEachAhead<Block>(
      layout.chunks, [&](int64_t i) { return memory.maxima[i]; },
      [&](int64_t i, float z) {
        if (i != memory.reports[i % layout.tiles].hot_chunk) add(z, bins.exact);
      });
  ForEachAhead<Block>(
      layout.tiles * kChunk, [&](int64_t i) { return memory.hot[i]; }, [&](int64_t, float z) { add(z, bins.exact); });
  ForEachAhead<Block>(
      layout.chunks * layout.samples_per_chunk, [&](int64_t i) { return memory.sample[i]; },
      [&](int64_t, float z) { add(z, bins.sampled); });
  Block::Sync();
}

// Only for rows with a sample and with top_k or top_p. `lowest` is that of the sample and the maxima, -inf left out.
__device__ inline Bracket EstimateCut(BlockMemory* block, const RowLayout& layout, const Weigher& weigh, float floor,
                                      float lowest) {
  const Row& row = block->row;
  uint64_t* scratch = block->scratch;
  uint32_t* counts = block->counts;
  const Bracket all = {floor, -kNegativeInfinity};
  BinnedSample bins;
  bins.exact = reinterpret_cast<uint32_t*>(block->work);
  bins.sampled = bins.exact + kBracketBins;
  bins.max = weigh.max;
  bins.share = static_cast<float>(kChunk) / static_cast<float>(layout.samples_per_chunk);
  if (Block::Rank() == 0) {
    counts[0] = kBracketBins;  // the lowest edge above which the cut surely is
    counts[1] = 0;             // the lowest edge above which all is surely kept
  }
  bins.width = (bins.max - fmaxf(lowest, floor)) * (1.0f / kBracketBins);
  if (!(bins.width > 0.0f) || !(bins.width <= 0x1p100f)) return all;
  bins.inverse_width = 1.0f / bins.width;
  FillBins(block->memory, layout, floor, bins);

  const int per_thread = kBracketBins / Block::Size();
  const int begin = Block::Rank() * per_thread;
  BinSums mine{};
#pragma unroll 1
  for (int bin = begin; bin < begin + per_thread; ++bin) mine = mine + bins.Sums(bin, weigh.scale);
  BinSums total;
  BinSums before = BlockRunningSum(mine, reinterpret_cast<BinSums*>(scratch), &total);

  const auto top_p = static_cast<float>(row.params.top_p);
  const auto dropped = static_cast<float>(1.0 - row.params.top_p);
  const float ratio = exp2f(0.5f * bins.width * weigh.scale);  // the middle of a bin stands for its ends
  const auto need = static_cast<float>(row.params.top_k);
  const float few = 0.75f * static_cast<float>(layout.list_capacity);
#pragma unroll 1
  for (int bin = begin; bin < begin + per_thread; ++bin) {
    // What is above the bin's upper edge is `before`.
    bool surely_below;  // what is below the edge is not kept
    bool surely_above;  // what is above the edge is kept, and more
    if (row.HasTopK()) {
      const auto exact = static_cast<float>(before.exact);
      const auto sampled = static_cast<float>(before.sampled);
      surely_below = exact >= need || exact + bins.share * (sampled - kDeviations * sqrtf(sampled + 1.0f)) >= need;
      surely_above = exact + bins.share * (sampled + kDeviations * sqrtf(sampled + 1.0f)) < need;
    } else {
      // The cut is where top_p of the mass below it equals 1 - top_p of the mass above: one difference, so that the
      // errors of its parts are not added up.
      const float below =
          top_p * ((total.exact_mass - before.exact_mass) + bins.share * (total.sampled_mass - before.sampled_mass));
      const float above = dropped * (before.exact_mass + bins.share * before.sampled_mass);
      // As if one more token of the edge's weight had been sampled, for where none was.
      const float one = exp2f(-static_cast<float>(bin) * bins.width * weigh.scale);
      const float squares = top_p * top_p * (fmaxf(total.squares - before.squares, 0.0f) + one * one) +
                            dropped * dropped * before.squares;
      const float error = kDeviations * bins.share * sqrtf(squares);
      surely_below = ratio * below + error <= above / ratio;
      surely_above = below / ratio - error >= ratio * above;
    }
    if (surely_below) atomicMin(&counts[0], static_cast<unsigned>(bin));
    if (surely_above) atomicMax(&counts[1], static_cast<unsigned>(bin));
    before = before + bins.Sums(bin, weigh.scale);
  }
  Block::Sync();
  const auto lowest_edge = static_cast<int>(counts[0]);
  const auto above_edge = static_cast<int>(counts[1]);
  Block::Sync();
  Bracket bracket = all;
  if (lowest_edge < kBracketBins) bracket.lowest = fmaxf(floor, bins.EdgeOf(lowest_edge, 0.01f));
  // A set that fits into the list is taken whole: there is nothing to miss above it.
  uint32_t listed = 0;
#pragma unroll 1
  for (int bin = Block::Rank(); bin < lowest_edge; bin += Block::Size()) {
    listed += bins.exact[bin] + static_cast<uint32_t>(bins.share) * bins.sampled[bin];
  }
  const auto expected = static_cast<float>(BlockSum(listed, scratch));
  if (expected > few && above_edge > 0) bracket.above = bins.EdgeOf(above_edge, -0.01f);
  return bracket;
}

}  // namespace nexttoken
