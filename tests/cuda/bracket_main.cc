// The guess of a cut is right for rows as models and users have them: their cut is in the list, and the row is not
// searched for it, which would give the same token many times later.
//
// A miss now and then is no fault: the guess is a matter of three standard deviations.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "batch_plan.h"
#include "nexttoken/sample_batch.h"

namespace nexttoken {
namespace {

constexpr int32_t kVocab = 128256;
constexpr int kRowsOfEach = 6;

struct Kind {
  const char* name;
  float deviation;
  enum Shape { kNormal, kPeaked, kByFrequency } shape;  // by frequency: the likely tokens have low ids
  double temperature;
  double top_p;
  int top_k;
};

constexpr Kind kKinds[] = {
    {"flat, top_p 0.95", 1, Kind::kNormal, 0.8, 0.95, 0},
    {"flat, top_p 0.5", 1, Kind::kNormal, 0.8, 0.5, 0},
    {"flat, top_p 0.1", 1, Kind::kNormal, 0.8, 0.1, 0},
    {"flat, top_p 0.9999", 1, Kind::kNormal, 1, 0.9999, 0},
    {"almost even, top_p 0.5", 0.1f, Kind::kNormal, 1, 0.5, 0},
    {"hot, top_p 0.95", 1, Kind::kNormal, 10, 0.95, 0},
    {"mid, top_p 0.95", 3, Kind::kNormal, 0.8, 0.95, 0},
    {"confident, top_p 0.95", 5, Kind::kNormal, 1, 0.95, 0},
    {"peaked, top_p 0.95", 1, Kind::kPeaked, 0.8, 0.95, 0},
    {"by frequency, top_p 0.95", 0.5f, Kind::kByFrequency, 0.8, 0.95, 0},
    {"by frequency, top_p 0.9", 0.5f, Kind::kByFrequency, 1, 0.9, 0},
    {"flat, top_k 50", 1, Kind::kNormal, 1, 1, 50},
    {"flat, top_k 50, top_p 0.9", 1, Kind::kNormal, 1, 0.9, 50},
    {"flat, top_k 1000", 1, Kind::kNormal, 1, 1, 1000},
    {"flat, top_k 20000", 1, Kind::kNormal, 1, 1, 20000},
    {"flat, top_k 100000", 1, Kind::kNormal, 1, 1, 100000},
};

class Rows {
 public:
  std::vector<float> Make(const Kind& kind, bool as_bfloat16) {
    std::vector<float> row(kVocab);
    for (int32_t i = 0; i < kVocab; ++i) {
      float z = normal_(bits_) * kind.deviation;
      if (kind.shape == Kind::kPeaked && bits_() % 4000 == 0) z += 8;
      if (kind.shape == Kind::kByFrequency) z -= 1.1f * std::log(static_cast<float>(i + 1));
      if (as_bfloat16) z = WidenBFloat16(static_cast<uint16_t>(BitsOfFloat(z) >> 16));
      row[static_cast<size_t>(i)] = z;
    }
    return row;
  }

 private:
  std::mt19937_64 bits_{1};
  std::normal_distribution<float> normal_;
};

bool WasSearched(const Kind& kind, const std::vector<float>& row, bool cluster) {
  BatchInput input;
  input.logits = {row.data(), 1, kVocab, kVocab, 1, DType::kFloat32};
  input.temperature.value = kind.temperature;
  input.top_p.value = kind.top_p;
  input.top_k.value = static_cast<uint64_t>(kind.top_k);
  DeviceLimits device;
  device.compute_capability = cluster ? 90 : 80;
  device.multiprocessors = 132;
  device.shared_memory_bytes = 227 << 10;
  const BatchPlan plan = PlanBatch(cluster ? 256 : 64, kVocab, device);
  int32_t token = 0;
  Status status = Status::kOk;
  BatchOutput output;
  output.token_ids = &token;
  output.status = &status;
  const size_t bytes = (BatchWorkspaceBytes(input, plan) + 255) / 256 * 256;
  const std::unique_ptr<char, decltype(&std::free)> workspace(static_cast<char*>(std::aligned_alloc(256, bytes)),
                                                              &std::free);
  SampleBatch(input, output, plan, workspace.get(), nullptr);
  RowMemory memory;
  LayOutRow(LayOutBatch(kVocab, plan), workspace.get(), &memory);
  return memory.state->was_searched;
}

int Main() {
  Rows rows;
  int failed = 0;
  for (const Kind& kind : kKinds) {
    int searched = 0;
    for (int i = 0; i < kRowsOfEach; ++i) searched += WasSearched(kind, rows.Make(kind, i % 2 == 1), i % 3 != 0);
    std::printf("%-26s %d of %d rows searched\n", kind.name, searched, kRowsOfEach);
    failed += searched > 1;
  }
  // The test can fail: equal logits leave nothing to guess.
  const Kind even = {"", 0, Kind::kNormal, 1, 0.5, 0};
  if (!WasSearched(even, rows.Make(even, false), true)) {
    std::printf("a row of equal logits was not searched: is the flag written?\n");
    ++failed;
  }
  return failed != 0;
}

}  // namespace
}  // namespace nexttoken

int main() {
  return nexttoken::Main();
}
