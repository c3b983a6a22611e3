// A step allocates nothing once its memory is there: every operator new between two steps is counted.
//
// Rows with all that a step keeps between calls: a history, a bias, stop strings, text, logprobs, a bitmask. They draw
// from a few tokens only, because a history grows with each new one.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "nexttoken/sampler.h"
#include "thread_pool.h"

namespace {

std::atomic<int64_t> allocations{0};

void* Count(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size ? size : 1)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) {
  return Count(size);
}
void* operator new[](std::size_t size) {
  return Count(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace {

using namespace nexttoken;

constexpr int32_t kVocab = 200;
constexpr int kRows = 6;

std::shared_ptr<const Request> MakeRequest() {
  auto request = std::make_shared<Request>();
  request->params.top_k = 8;
  request->params.presence_penalty = 0.1f;
  request->params.frequency_penalty = -0.01f;
  request->params.logprobs = 5;
  request->bias_tokens = {3, 4};
  request->bias_values = {1.0f, -1.0f};
  request->stops = std::make_shared<const StopAutomaton>(std::vector<std::string_view>{"never said", "nor this"});
  request->min_tokens = 3;
  return request;
}

// How many allocations the steps after the first ones make.
int64_t AllocationsOfSteps(bool all_rows) {
  std::vector<std::string> bytes;
  for (int32_t i = 0; i < kVocab; ++i) bytes.push_back(i % 3 ? " piece" : "\xe2\x89");
  Sampler sampler(kVocab, bytes, {0}, true);
  std::vector<int64_t> rows;
  for (int i = 0; i < kRows; ++i) rows.push_back(sampler.Add(MakeRequest(), {5, 6}, {}, 7, static_cast<uint32_t>(i)));
  std::vector<float> logits(kRows * kVocab, -20.0f);
  for (int row = 0; row < kRows; ++row) {
    for (int token = 1; token < 13; ++token) logits[static_cast<size_t>(row * kVocab + token)] = 1.0f;
  }
  const std::vector<int32_t> bitmask((kVocab + 31) / 32, -1);
  StepInput input;
  input.logits = {logits.data(), kRows, kVocab, kVocab, 1, DType::kFloat32};
  if (!all_rows) {
    input.rows = rows.data();
    input.row_count = kRows;
  }
  input.bitmask = bitmask.data();
  input.bitmask_words = static_cast<int64_t>(bitmask.size());
  StepOutput output;
  for (int step = 0; step < 500; ++step) sampler.Step(input, &output);
  const int64_t before = allocations;
  for (int step = 0; step < 500; ++step) sampler.Step(input, &output);
  for (const FinishReason reason : output.finish) {
    if (reason != FinishReason::kNone) std::abort();  // then the last steps were not whole
  }
  return allocations - before;
}

}  // namespace

int main() {
  for (const int threads : {1, 3}) {
    SetNumThreads(threads);
    for (const bool all_rows : {false, true}) {
      const int64_t counted = AllocationsOfSteps(all_rows);
      std::printf("%d threads, %s: %lld allocations in 500 steps\n", threads, all_rows ? "all rows" : "rows given",
                  static_cast<long long>(counted));
      if (counted != 0) return 1;
    }
  }
  return allocations > 0 ? 0 : 1;  // 0: nothing was counted at all
}
