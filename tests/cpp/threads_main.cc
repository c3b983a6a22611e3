// Several callers at once: the pool, targets and thread counts that change meanwhile, samplers that are shared.
//
// Every result must be what one thread alone gets. Run under ThreadSanitizer this also shows unguarded accesses.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "nexttoken/sample.h"
#include "nexttoken/sampler.h"
#include "targets.h"
#include "thread_pool.h"

namespace {

using namespace nexttoken;

constexpr int32_t kVocab = 300;
constexpr int kRows = 12;
constexpr int kCallers = 4;
constexpr int kSteps = 60;

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

std::vector<float> MakeLogits() {
  std::vector<float> logits(kRows * kVocab);
  uint32_t state = 1;
  for (float& z : logits) {
    state = state * 1664525u + 1013904223u;
    z = static_cast<float>(state >> 20) / 512.0f;
  }
  return logits;
}

LogitsView View(const std::vector<float>& logits, int64_t rows) {
  return {logits.data(), rows, kVocab, kVocab, 1, DType::kFloat32};
}

std::vector<int32_t> Draw(const std::vector<float>& logits, uint64_t step) {
  std::vector<RowInput> inputs(kRows);
  std::vector<RowOutput> outputs(kRows);
  std::vector<int32_t> token_ids(kRows, -2);
  for (int i = 0; i < kRows; ++i) {
    inputs[i].logits = View(logits, kRows).Row(i);
    inputs[i].params.top_p = 0.9;
    inputs[i].params.seed = static_cast<uint64_t>(i);
    inputs[i].step = step;
    outputs[i].token_ids = &token_ids[i];
  }
  SampleRows(inputs.data(), outputs.data(), kRows);
  return token_ids;
}

void TestFunctions(const std::vector<float>& logits) {
  std::vector<std::vector<int32_t>> alone;
  for (int step = 0; step < kSteps; ++step) alone.push_back(Draw(logits, static_cast<uint64_t>(step)));
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      for (int step = 0; step < kSteps; ++step) {
        if (caller == 0) SetNumThreads(1 + step % 4);
        if (caller == 1) SetTarget(RunnableTargets()[static_cast<size_t>(step) % RunnableTargets().size()]);
        Require(Draw(logits, static_cast<uint64_t>(step)) == alone[static_cast<size_t>(step)], "a draw differs");
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

std::unique_ptr<Sampler> MakeSampler() {
  std::vector<std::string> bytes(kVocab);
  for (int32_t i = 0; i < kVocab; ++i) bytes[static_cast<size_t>(i)] = std::string(1, static_cast<char>('a' + i % 26));
  return std::make_unique<Sampler>(kVocab, bytes, std::vector<int32_t>{0}, false);
}

std::shared_ptr<const Request> MakeRequest() {
  auto request = std::make_shared<Request>();
  request->params.presence_penalty = 0.5f;
  request->params.logprobs = 2;
  request->stops = std::make_shared<const StopAutomaton>(std::vector<std::string_view>{"xyz"});
  request->min_tokens = 3;
  return request;
}

// One step of one row; its token, or -1 when it has ended.
int32_t StepOne(Sampler* sampler, const std::vector<float>& logits, int64_t row, int64_t line, std::string* text) {
  StepInput input;
  input.logits = View(logits, kRows);
  input.rows = &row;
  input.lines = &line;
  input.row_count = input.line_count = 1;
  StepOutput output;
  sampler->Step(input, &output);
  *text += output.text[0];
  return output.finish[0] == FinishReason::kNone ? output.token_ids[0] : -1;
}

// The same with the token drawn outside of the sampler, as for a device.
int32_t StepElsewhere(Sampler* sampler, const std::vector<float>& logits, int64_t row, int64_t line,
                      std::string* text) {
  StepInput input;
  input.logits = View(logits, kRows);
  input.rows = &row;
  input.lines = &line;
  input.row_count = input.line_count = 1;
  const std::vector<Sampler::Draw> draws = sampler->Look(input);
  const Sampler::Draw& draw = draws[0];
  RowInput in;
  in.logits = input.logits.Row(line);
  in.params = draw.params;
  in.bias_tokens = draw.bias->bias_tokens.data();
  in.bias_values = draw.bias->bias_values.data();
  in.bias_count = static_cast<int32_t>(draw.bias->bias_tokens.size());
  in.history = draw.history.data();
  in.history_count = static_cast<int32_t>(draw.history.size());
  in.step = draw.step;
  in.params.logprobs = kNoLogprobs;
  int32_t token = -1;
  Status status;
  RowOutput out;
  out.token_ids = &token;
  out.status = &status;
  SampleRows(&in, &out, 1);
  StepOutput output;
  sampler->Take(draws, &token, &status, &output);
  *text += output.text[0];
  return output.finish[0] == FinishReason::kNone ? token : -1;
}

std::string Tell(Sampler* sampler, const std::vector<float>& logits, int64_t row, int64_t line,
                 decltype(&StepOne) take_step = &StepOne) {
  std::string text;
  for (int step = 0; step < kSteps && take_step(sampler, logits, row, line, &text) >= 0; ++step) sampler->ActiveRows();
  sampler->Info(row);
  return text;
}

void TestSampler(const std::vector<float>& logits) {
  const auto request = MakeRequest();
  std::vector<std::string> alone;
  for (int caller = 0; caller < kCallers; ++caller) {
    const auto sampler = MakeSampler();
    alone.push_back(
        Tell(sampler.get(), logits, sampler->Add(request, {1, 2}, {}, 7, static_cast<uint32_t>(caller)), caller));
  }
  const auto shared = MakeSampler();
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 4; ++round) {
        const int64_t row = shared->Add(request, {1, 2}, {}, 7, static_cast<uint32_t>(caller));
        const int64_t fork = shared->Fork(row, 1, 99)[0];
        const auto take_step = (caller + round) % 2 ? &StepElsewhere : &StepOne;
        Require(Tell(shared.get(), logits, row, caller, take_step) == alone[static_cast<size_t>(caller)],
                "a text differs");
        shared->Remove(fork);
        shared->Remove(row);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  Require(shared->ActiveRows().empty(), "a row is left");
}

// Rows that have moved since they were looked at, and tokens that are none, are refused before any row moves.
void TestTake(const std::vector<float>& logits) {
  const auto sampler = MakeSampler();
  const int64_t rows[] = {sampler->Add(MakeRequest(), {}, {}, 1, 0), sampler->Add(MakeRequest(), {}, {}, 2, 0)};
  StepInput input;
  input.logits = View(logits, 2);
  input.rows = rows;
  input.row_count = 2;
  StepOutput output;
  const auto refused = [&](const std::vector<Sampler::Draw>& draws, int32_t token) {
    const std::vector<int32_t> token_ids{5, token};
    const std::vector<Status> status(2, Status::kOk);
    try {
      sampler->Take(draws, token_ids.data(), status.data(), &output);
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  const auto draws = sampler->Look(input);
  Require(draws.size() == 2 && draws[1].row == rows[1], "other rows were looked at");
  Require(refused(draws, -1) && refused(draws, kVocab), "a token that is none was taken");
  Require(sampler->Info(rows[0]).step == 0, "a row moved");
  Require(!refused(draws, 7) && sampler->Info(rows[1]).step == 1, "a token was not taken");
  Require(refused(draws, 7) && sampler->Info(rows[0]).step == 1, "a row that has moved was taken");
  const auto later = sampler->Look(input);
  sampler->Remove(rows[1]);
  Require(refused(later, 7) && sampler->Info(rows[0]).step == 1, "a row that has left was taken");
}

// Every index once, and nothing of a job touched after it has returned, whether the workers are awake or asleep.
void RunJobs(int jobs, std::chrono::microseconds between) {
  for (int job = 0; job < jobs; ++job) {
    std::vector<int> times(static_cast<size_t>(job % 9), 0);
    ParallelFor(static_cast<int64_t>(times.size()), [&](int64_t i) { ++times[static_cast<size_t>(i)]; });
    for (const int n : times) Require(n == 1, "an index was left out or came twice");
    if (between.count() > 0) std::this_thread::sleep_for(between);
  }
}

// Two tasks that wait for each other: done only where a worker comes, from its sleep or before it.
void TestWorkersCome() {
  for (const int between : {0, 0, 20, 60, 2000, 2000}) {
    std::this_thread::sleep_for(std::chrono::microseconds(between));
    std::atomic<int> begun{0};
    ParallelFor(2, [&](int64_t) {
      ++begun;
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (begun < 2) {
        Require(std::chrono::steady_clock::now() < end, "no worker came");
        std::this_thread::yield();
      }
    });
  }
}

void TestPool() {
  TestWorkersCome();
  RunJobs(20000, std::chrono::microseconds(0));
  for (const int between : {30, 50, 70, 300}) RunJobs(200, std::chrono::microseconds(between));
  // Callers beside each other: one has the pool, the others do their own work.
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) callers.emplace_back([] { RunJobs(2000, {}); });
  for (std::thread& caller : callers) caller.join();
}

// Counts the threads between its construction and the unwinding of its task.
class AtWork {
 public:
  explicit AtWork(std::atomic<int>* count) : count_(count) { ++*count_; }
  ~AtWork() { --*count_; }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;

 private:
  std::atomic<int>* count_;
};

// An exception comes out once, from whichever thread, none is at work any more, and the pool goes on.
void TestExceptions() {
  for (int64_t bad = 0; bad < 12; ++bad) {
    std::atomic<int> ran{0};
    std::atomic<int> at_work{0};
    bool thrown = false;
    try {
      ParallelFor(12, [&](int64_t i) {
        ++ran;
        const AtWork here(&at_work);
        if (i >= bad) throw std::runtime_error("task " + std::to_string(i));
        std::this_thread::yield();  // so that some are at work when others throw
      });
    } catch (const std::runtime_error&) {
      thrown = at_work == 0;
    }
    Require(thrown && ran > bad, "an exception of a task is lost");
    RunJobs(9, {});
  }
}

}  // namespace

int main() {
  const std::vector<float> logits = MakeLogits();
  for (const int threads : {2, 3, 5}) {
    SetNumThreads(threads);
    TestPool();
    TestExceptions();
  }
  SetNumThreads(1);
  TestExceptions();
  TestFunctions(logits);
  SetNumThreads(3);
  TestSampler(logits);
  TestTake(logits);
  std::printf("%d callers\n", kCallers);
  return 0;
}
