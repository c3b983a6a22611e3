// What each part of the row kernel takes, in microseconds: `make bench-parts`, for who works on csrc/cpu/row_*.h.
//
// The parts are called as CutRow and SampleRow call them, on rows with exponential tails (temperature 0.8, top_p 0.95,
// penalties over 512 tokens at random places), 64 different ones, each copied into place first; medians by the
// processor's time stamps. The token that comes of the parts must be the kernel's. What it hides: caches swept by a
// model.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include SIMD_HEADER

#include "row_kernel.h"

namespace {

using namespace nexttoken;
using Clock = std::chrono::steady_clock;

constexpr int kRows = 64;
constexpr int kRounds = 10;
constexpr const char* kParts[] = {"open",      "edits",  "maxima", "floor", "guess",        "split",
                                  "list mass", "select", "apply",  "draw",  "raw logprobs", "top 20"};
constexpr size_t kPartCount = sizeof kParts / sizeof *kParts;

struct Fixture {
  std::vector<std::vector<float>> rows;
  std::vector<HistoryEntry> history;
  RowInput input;

  Fixture(int32_t vocab, float scale) {
    std::mt19937 random(1);
    std::exponential_distribution<float> tail(1 / scale);
    for (int i = 0; i < kRows; ++i) {
      rows.emplace_back(vocab);
      for (float& z : rows.back()) z = random() & 1 ? tail(random) : -tail(random);
    }
    std::vector<bool> said(vocab);
    while (history.size() < 512) {
      const auto token = static_cast<int32_t>(random() % static_cast<uint32_t>(vocab));
      if (!said[token]) history.push_back({token, 1, 0});
      said[token] = true;
    }
    input.params.temperature = 0.8f;
    input.params.top_p = 0.95;
    input.params.presence_penalty = 0.1f;
    input.params.frequency_penalty = 0.2f;
    input.history = history.data();
    input.history_count = 512;
  }
};

class Laps {
 public:
  void Start() { last_ = Clock::now(); }
  void Lap(size_t part) {
    const auto now = Clock::now();
    times_[part].push_back(std::chrono::duration<double, std::micro>(now - last_).count());
    last_ = Clock::now();
  }
  double Median(size_t part) {
    std::sort(times_[part].begin(), times_[part].end());
    return times_[part][times_[part].size() / 2];
  }

 private:
  Clock::time_point last_;
  std::vector<double> times_[kPartCount];
};

// Returns the drawn token.
int32_t RunParts(const RowInput& input, void* memory, Laps* laps, double* listed) {
  constexpr DType kDType = DType::kFloat32;
  Workspace w;
  LayOut(input.logits.vocab_size, static_cast<char*>(memory), &w);
  laps->Start();
  RowBlocks row = OpenRow(input.logits, w.blocks, w.slots);
  laps->Lap(0);
  ApplyEdits<kDType>(input, &row);
  laps->Lap(1);
  FindMaxima<kDType>(row, &w.maxima);
  laps->Lap(2);
  const float scale = ScaleOf(input.params.temperature);
  const Weigher weigh = {w.maxima.max, scale, LowestOfWeight(1, w.maxima.max, scale)};
  laps->Lap(3);
  const Bracket bracket = EstimateCut<kDType>(row, w.maxima, weigh, input.params.top_p, w.cut.sample);
  laps->Lap(4);
  const bool three = bracket.above < -kNegativeInfinity;
  const BracketSums sums = three ? SplitRow<Split::kThreeWays, kDType>(row, w.maxima, weigh, bracket, &w.cut)
                           : weigh.IsNarrow(bracket.lowest)
                               ? SplitRow<Split::kNarrowBelow, kDType>(row, w.maxima, weigh, bracket, &w.cut)
                               : SplitRow<Split::kTwoWays, kDType>(row, w.maxima, weigh, bracket, &w.cut);
  laps->Lap(5);
  *listed += w.cut.list.count;
  const uint64_t inside = MassAtLeast(w.cut.list, weigh, weigh.floor);
  const uint64_t need = NeededMass(input.params.top_p, sums.rest + (three ? 0 : inside));
  laps->Lap(6);
  if (need <= sums.above || need > sums.above + inside) return -1;  // a guess that missed: seldom, and not of interest
  const Cut cut = SelectPrefix(w.cut.list, w.cut.scratch, ByWeight{weigh}, need - sums.above);
  laps->Lap(7);
  Kept kept = {weigh, cut, !three, w.cut.list, w.cut.masses, row.groups, 0};
  if (three) {
    kept.mass = AddKept(w.cut, row.groups, weigh, cut);
  } else {
    Apply(cut, &kept.list);
    kept.mass = MassOfList(kept.list, weigh, kept.masses);
    kept.parts = ChunksOf(kept.list);
  }
  laps->Lap(8);
  RunningSums(&kept);
  const uint64_t bits = DrawBits(input.params.seed, input.params.sequence_index, input.step);
  const int32_t token = TokenAt<kDType>(row, kept, DrawTarget(bits, kept.mass));
  laps->Lap(9);
  const volatile double log_sum = Normalize<kDType>(row, w.maxima).log_sum;
  static_cast<void>(log_sum);
  laps->Lap(10);
  TopList top;
  top.Take<kDType>(row, w.maxima, nullptr, 20, w.cut.scratch);
  laps->Lap(11);
  return token;
}

void Measure(int32_t vocab, float scale) {
  Fixture fixture(vocab, scale);
  Workspace layout;
  void* memory = std::aligned_alloc(64, static_cast<size_t>(LayOut(vocab, nullptr, &layout)));
  auto* place =
      static_cast<float*>(std::aligned_alloc(64, (sizeof(float) * static_cast<size_t>(vocab) + 63) / 64 * 64));
  fixture.input.logits = {place, 1, vocab, DType::kFloat32};
  Laps laps;
  double listed = 0.0;
  int missed = 0;
  for (int i = 0; i < kRows * kRounds; ++i) {
    std::memcpy(place, fixture.rows[i % kRows].data(), sizeof(float) * static_cast<size_t>(vocab));
    fixture.input.params.seed = static_cast<uint64_t>(i);
    const int32_t token = RunParts(fixture.input, memory, &laps, &listed);
    int32_t wanted = 0;
    RowOutput output;
    output.token_ids = &wanted;
    SampleRow(fixture.input, output, memory);
    missed += token < 0;
    if (token >= 0 && token != wanted) {
      std::fprintf(stderr, "the parts drew %d, the kernel %d\n", token, wanted);
      std::exit(1);
    }
  }
  std::printf("| %d, scale %g | %.0f | %d |", vocab, static_cast<double>(scale), listed / (kRows * kRounds), missed);
  for (size_t part = 0; part < kPartCount; ++part) std::printf(" %.2f |", laps.Median(part));
  std::printf("\n");
  std::free(memory);
  std::free(place);
}

}  // namespace

int main() {
  std::printf("| vocabulary, rows | listed | missed guesses of %d |", kRows * kRounds);
  for (const char* part : kParts) std::printf(" %s |", part);
  std::printf("\n|%s\n",
              " --- |"
              " ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
  for (const int32_t vocab : {128256, 32000}) {
    for (const float scale : {1.25f, 1.0f, 0.8f}) Measure(vocab, scale);
  }
}
