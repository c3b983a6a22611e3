#include "time_rows.h"

#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "floor/one_pass_max.h"
#include "thread_pool.h"

namespace nexttoken {
namespace {

constexpr size_t kCacheLine = 64;
// Where the system does not tell, or a virtual machine tells too little.
constexpr size_t kLeastSweepBytes = size_t{64} << 20;
// A server's cache that many cores share can ask for more memory than a small container has.
constexpr size_t kMostSweepBytes = size_t{512} << 20;

uint64_t ThreadNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t ClockCost() {
  constexpr size_t kIntervals = 1001;
  std::vector<uint64_t> empty(kIntervals);
  for (uint64_t& interval : empty) {
    const uint64_t start = ThreadNanoseconds();
    interval = ThreadNanoseconds() - start;
  }
  std::nth_element(empty.begin(), empty.begin() + kIntervals / 2, empty.end());
  return empty[kIntervals / 2];
}

template <class Work>
uint64_t Timed(uint64_t clock_ns, const Work& work) {
  const uint64_t start = ThreadNanoseconds();
  work();
  const uint64_t interval = ThreadNanoseconds() - start;
  return interval - std::min(interval, clock_ns);
}

class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t bytes)
      : memory_(std::aligned_alloc(kCacheLine, (bytes + kCacheLine - 1) / kCacheLine * kCacheLine)) {
    if (!memory_) throw std::bad_alloc();
  }
  template <class T>
  T* As() const {
    return static_cast<T*>(memory_.get());
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
};

// Fills the caches with lines that nobody asks for again.
class Sweeper {
 public:
  explicit Sweeper(bool on) : bytes_(on ? Bytes() : 0), lines_(std::max(bytes_, kCacheLine)) {
    std::memset(lines_.As<char>(), 1, bytes_);  // pages of their own, not all the one of zeros
  }
  void operator()() {
    const volatile char* lines = lines_.As<char>();
    for (size_t at = 0; at < bytes_; at += kCacheLine) static_cast<void>(lines[at]);
  }

 private:
  static size_t Bytes() {
    // What one core can reach; sysconf() may tell the sum over a machine of which this is a part. Eight times that,
    // because caches hold on to some of their lines while others stream by: after twice the size, part of a row is
    // left.
    size_t kibibytes = 0;
    std::ifstream("/sys/devices/system/cpu/cpu0/cache/index3/size") >> kibibytes;
    return std::clamp(8 * (kibibytes << 10), kLeastSweepBytes, kMostSweepBytes);
  }
  size_t bytes_;
  AlignedBuffer lines_;
};

const char* At(const RowView& row, int64_t token) {
  return static_cast<const char*>(row.data) + token * row.stride * ItemSize(row.dtype);
}

void CopyWidened(const RowView& row, float* to) {
  for (int64_t token = 0; token < row.vocab_size; ++token) {
    uint16_t half;
    if (row.dtype == DType::kFloat32) {
      std::memcpy(to + token, At(row, token), sizeof(float));
      continue;
    }
    std::memcpy(&half, At(row, token), sizeof half);
    to[token] = row.dtype == DType::kFloat16 ? WidenFloat16(half) : WidenBFloat16(half);
  }
}

void CopyDense(const RowView& row, char* to) {
  const size_t item = static_cast<size_t>(ItemSize(row.dtype));
  if (row.stride == 1) {
    std::memcpy(to, row.data, item * static_cast<size_t>(row.vocab_size));
    return;
  }
  for (int64_t token = 0; token < row.vocab_size; ++token) {
    std::memcpy(to + static_cast<size_t>(token) * item, At(row, token), item);
  }
}

// What the loops compute goes here, so that no compiler leaves them out.
volatile float floor_result;

uint64_t TimeFloor(const RowView& row, float* scratch, Sweeper& sweeper, uint64_t clock_ns) {
  CopyWidened(row, scratch);
  sweeper();
  return Timed(clock_ns, [&] { floor_result = nexttoken_one_pass_max(scratch, static_cast<size_t>(row.vocab_size)); });
}

}  // namespace

uint64_t TimeRows(const RowInput* inputs, const RowOutput* outputs, int64_t rows, bool sweep, RowTime* times) {
  if (NumThreads() != 1) {
    throw std::invalid_argument("num_threads must be 1 while rows are timed by their thread's clock, got " +
                                std::to_string(NumThreads()));
  }
  int64_t widest = 1;
  for (int64_t row = 0; row < rows; ++row) widest = std::max<int64_t>(widest, inputs[row].logits.vocab_size);
  const AlignedBuffer scratch(static_cast<size_t>(widest) * sizeof(float));
  Sweeper sweeper(sweep);
  const uint64_t clock_ns = ClockCost();
  for (int64_t row = 0; row < rows; ++row) {
    times[row].floor_ns = TimeFloor(inputs[row].logits, scratch.As<float>(), sweeper, clock_ns);
    RowInput input = inputs[row];
    CopyDense(input.logits, scratch.As<char>());
    input.logits.data = scratch.As<char>();
    input.logits.stride = 1;
    sweeper();
    times[row].kernel_ns = Timed(clock_ns, [&] { SampleRows(&input, outputs + row, 1); });
  }
  return clock_ns;
}

uint64_t TimeOnePassMax(const LogitsView& logits, bool sweep, uint64_t* times_ns) {
  const AlignedBuffer scratch(static_cast<size_t>(logits.vocab_size) * sizeof(float));
  Sweeper sweeper(sweep);
  const uint64_t clock_ns = ClockCost();
  for (int64_t row = 0; row < logits.batch_size; ++row) {
    times_ns[row] = TimeFloor(logits.Row(row), scratch.As<float>(), sweeper, clock_ns);
  }
  return clock_ns;
}

}  // namespace nexttoken
