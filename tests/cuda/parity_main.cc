// The device against the CPU kernels, row by row: token ids, status, weights, mass and top token ids bit for bit,
// logprobs as close as the contract has it.
//
//   cuda_parity [--rows N] [--seconds S] [--seed S] [--json FILE] [--quick] [--large] [--only NUMBER]
//
// Fixed checks come first; then random batches until N different rows were made. After S seconds nothing new is begun.
// --quick: small vocabularies and memory of exact sizes, for sanitizers. --large: vocabularies up to 2^20 too. --only:
// one random batch again, with all of its plans. Exit status 0: equal; 1: not; 2: a wrong option; 77: no GPU, where it
// is built for one.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "parity/checks.h"
#include "parity/device.h"
#include "thread_pool.h"

namespace {

using nexttoken::DType;
using nexttoken::parity::Batch;
using nexttoken::parity::Checks;
using nexttoken::parity::Device;
using nexttoken::parity::DeviceMemory;
using nexttoken::parity::MakeBatchOfAllKinds;
using nexttoken::parity::MakeRandomBatch;
using nexttoken::parity::Quoted;
using nexttoken::parity::Size;
using Clock = std::chrono::steady_clock;

struct Options {
  int64_t rows = 2000;
  double seconds = 1e9;
  uint64_t seed = 1;
  uint64_t only = ~uint64_t{0};
  bool quick = false;
  bool large = false;
  std::string json;
};

bool Read(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--quick") {
      options->quick = true;
    } else if (name == "--large") {
      options->large = true;
    } else if (i + 1 == argc) {
      return false;
    } else if (name == "--rows") {
      options->rows = std::atoll(argv[++i]);
    } else if (name == "--seconds") {
      options->seconds = std::atof(argv[++i]);
    } else if (name == "--seed") {
      options->seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (name == "--only") {
      options->only = std::strtoull(argv[++i], nullptr, 10);
    } else if (name == "--json") {
      options->json = argv[++i];
    } else {
      return false;
    }
  }
  return true;
}

// Batches that are always run, apart from random ones, have numbers from here on.
constexpr uint64_t kFixed = uint64_t{1} << 40;

Size SizeFor(const Options& options) {
  if (options.quick) return {4097, int64_t{1} << 15, 33};
  if (options.large) return {1 << 20, int64_t{1} << 22, 300};
  return {262144, int64_t{1} << 18, 300};
}

// Every kind of values at every vocabulary and in every dtype.
void AllKinds(const Options& options, const std::function<bool()>& is_late, Checks* checks) {
  uint64_t number = kFixed;
  for (const int32_t vocab : nexttoken::parity::EdgeVocabularies()) {
    if (options.quick && vocab > 1025 && vocab != 4097) continue;
    for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      if (is_late()) return;
      checks->Parity(MakeBatchOfAllKinds(checks->seed, number++, vocab, dtype), options.quick ? 1 : 3);
    }
  }
  for (const int32_t vocab : nexttoken::parity::LargeVocabularies()) {
    // Without --large a few rows of those that models have.
    const bool is_usual = vocab == 50257 || vocab == 128256;
    if (options.quick || (!options.large && !is_usual)) continue;
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      if (is_late()) return;
      if (!options.large && (dtype == DType::kFloat32) == (vocab == 128256)) continue;
      const Batch batch = MakeBatchOfAllKinds(checks->seed, number++, vocab, dtype);
      checks->Parity(options.large ? batch : batch.Take({0, 2, 3, 6, 20}), options.large ? 3 : 1);
    }
  }
}

void FixedChecks(const Options& options, const std::function<bool()>& is_late, Checks* checks) {
  checks->Uploads();
  checks->DrawsOnBoundaries(kFixed + 60000, options.large ? 1 << 20 : options.quick ? 1024 : 8192);
  const Size size = {options.quick ? 600 : 4097, int64_t{1} << 15, 40};
  const Size wide = {262144, int64_t{1} << 22, 40};
  const uint64_t small_batches = options.quick ? 4 : options.large ? 200 : 12;
  for (uint64_t i = 0; i < small_batches + (options.large ? 40 : 0) && !is_late(); ++i) {
    Batch batch = MakeRandomBatch(checks->seed, kFixed + 20000 + i, i < small_batches ? size : wide);
    batch.origin = "invariance";
    checks->Invariance(batch, options.quick || batch.vocab > 1024 ? 17 : 257);
  }
  checks->Replays(kFixed + 40000, options.quick ? 10 : 1000);
  checks->TwoStreams(kFixed + 50000, options.quick ? 2 : 50);
  AllKinds(options, is_late, checks);
  if (!is_late()) checks->BadParameters(kFixed + 10000);
}

bool WriteJson(const Options& options, const Checks& checks, double seconds, const char* stopped_by) {
  if (options.json.empty()) return true;
  std::FILE* file = std::fopen(options.json.c_str(), "w");
  if (!file) return false;
  std::fprintf(file, "{\n \"program\": \"cuda_parity\",\n \"device\": %s,\n \"compute_capability\": %d,\n",
               Quoted(Device::Name()).c_str(), checks.limits.compute_capability);
  std::fprintf(file, " \"multiprocessors\": %d,\n \"seed\": %llu,\n", checks.limits.multiprocessors,
               static_cast<unsigned long long>(options.seed));
  std::fprintf(file, " \"options\": %s,\n", Quoted(options.quick ? "quick" : options.large ? "large" : "").c_str());
  std::fprintf(file, " \"seconds\": %.1f,\n \"stopped_by\": %s,\n%s\n}\n", seconds, Quoted(stopped_by).c_str(),
               checks.tally.Json().c_str());
  return std::fclose(file) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!Read(argc, argv, &options)) {
    std::printf("usage: %s [--rows N] [--seconds S] [--seed S] [--json FILE] [--quick] [--large] [--only NUMBER]\n",
                argv[0]);
    return 2;
  }
  if (!Device::Exists()) {
    std::printf("no CUDA device\n");
    return 77;
  }
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  nexttoken::SetNumThreads(static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  DeviceMemory::exact = DeviceMemory::exact || options.quick;
  Checks checks;
  checks.seed = options.seed;
  checks.limits = Device::Limits();
  const char* stopped_by = "rows";
  if (options.only != ~uint64_t{0}) {
    checks.Parity(MakeRandomBatch(options.seed, options.only, SizeFor(options)), 1000);
  } else {
    const auto is_late = [&] { return seconds() > options.seconds; };
    FixedChecks(options, is_late, &checks);
    for (uint64_t number = 0; checks.tally.rows() < options.rows && !is_late(); ++number) {
      checks.Parity(MakeRandomBatch(options.seed, number, SizeFor(options)), options.quick ? 1 : 2);
    }
  }
  if (seconds() > options.seconds) stopped_by = "seconds";
  if (!WriteJson(options, checks, seconds(), stopped_by)) {
    std::printf("cannot write %s\n", options.json.c_str());
    return 2;
  }
  std::printf("%s: %lld rows, %lld comparisons, %lld different, %.0f s\n", Device::Name().c_str(),
              static_cast<long long>(checks.tally.rows()), static_cast<long long>(checks.tally.comparisons()),
              static_cast<long long>(checks.tally.different()), seconds());
  return checks.tally.different() ? 1 : 0;
}
