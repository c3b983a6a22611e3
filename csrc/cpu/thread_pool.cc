#include "thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace nexttoken {
namespace {

// How long a thread that has nothing to do stays awake, should more come. Waking a sleeping one takes as long as a row
// or several (5 to 50 us, the most in virtual machines); steps that follow at once find the workers awake.
constexpr std::chrono::microseconds kAwake{50};

// One turn of a loop that waits for another processor.
void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // waits longer than yield, which many do not implement
#endif
}

// Returns whether `ready` came true within kAwake. Gives way between looks at the clock: where other work has the
// processors, the one waited for may need this one, and steps over short rows would take twice as long.
template <class Ready>
bool Spin(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kAwake;
  do {
    for (int i = 0; i < 32; ++i) {  // looking at the clock takes as long as a few turns
      if (ready()) return true;
      Pause();
    }
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

struct Job {
  int64_t count;
  void (*task)(void* context, int64_t index);
  void* context;
};

// A job is published by storing to tickets_, and each worker that takes one is in busy_ until it has left the job: so
// job_ changes only while nobody can read it.
class ThreadPool {
 public:
  // Starts workers until there are `wanted`, or as many as the system gives: fewer threads draw the same tokens. A
  // refusal is remembered: to ask takes as long as a row or several, and most often the answer would be the same.
  void Grow(int wanted) {
    try {
      while (static_cast<int>(threads_.size()) < wanted && !refused_) threads_.emplace_back([this] { Work(); });
    } catch (const std::exception&) {
      refused_ = true;
    }
  }

  void ForgetRefusal() { refused_ = false; }

  // On the calling thread and at most `helpers` workers.
  void Run(const Job& job, int helpers) {
    helpers = std::min(helpers, static_cast<int>(threads_.size()));
    // A thread that waits on the processor which another one needs holds up what it waits for.
    spins_ = helpers < processors_;
    job_ = job;
    next_ = 0;
    error_ = nullptr;
    busy_ = helpers;
    tickets_ = helpers;
    // Either a worker that goes to sleep sees the tickets, or it is seen here: both are sequentially consistent.
    if (sleepers_ > 0) {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (int i = 0; i < std::min(helpers, sleepers_.load()); ++i) wake_.notify_one();
    }
    Drain(job);
    busy_ -= tickets_.exchange(0);  // nobody need begin any more
    const auto done = [this] { return busy_ == 0; };
    if (!(spins_ && Spin(done)) && !done()) {
      std::unique_lock<std::mutex> lock(mutex_);
      waiting_ = true;
      done_.wait(lock, done);
      waiting_ = false;
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void Drain(const Job& job) {
    try {
      for (int64_t i = next_++; i < job.count; i = next_++) job.task(job.context, i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
      next_ = job.count;
    }
  }

  bool TakeTicket() {
    int left = tickets_;
    while (left > 0) {
      if (tickets_.compare_exchange_weak(left, left - 1)) return true;
    }
    return false;
  }

  void AwaitTicket() {
    const auto taken = [this] { return TakeTicket(); };
    if (taken() || (spins_ && Spin(taken))) return;
    std::unique_lock<std::mutex> lock(mutex_);
    ++sleepers_;
    wake_.wait(lock, taken);
    --sleepers_;
  }

  void Work() {
    for (;;) {
      AwaitTicket();
      Drain(Job(job_));
      if (--busy_ == 0 && waiting_) {
        // The caller holds the lock from its last look at busy_ until it sleeps.
        const std::lock_guard<std::mutex> lock(mutex_);
        done_.notify_one();
      }
    }
  }

  const int processors_ = static_cast<int>(std::thread::hardware_concurrency());
  std::vector<std::thread> threads_;
  std::atomic<bool> refused_{false};  // the system would not start one more
  std::atomic<bool> spins_{false};
  // What one side writes while the other looks stands on a line of its own.
  alignas(64) std::atomic<int> tickets_{0};  // workers that may still join the job
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<int> busy_{0};  // workers that have joined the job or may
  alignas(64) std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> waiting_{false};  // the caller sleeps until busy_ is 0
  Job job_{};
  std::exception_ptr error_;
};

struct Shared {
  std::mutex mutex;  // held by the caller that has the pool
  ThreadPool pool;
  std::atomic<int> threads{1};
};

// Never destroyed: threads of the caller may still sample while the process exits.
Shared* shared = nullptr;
std::once_flag once;

Shared& Instance() {
  std::call_once(once, [] {
    shared = new Shared;
    // A forked child has none of the parent's threads and perhaps a locked mutex: it starts over.
    pthread_atfork(nullptr, nullptr, [] {
      const int threads = shared->threads;
      shared = new Shared;
      shared->threads = threads;
    });
  });
  return *shared;
}

}  // namespace

void SetNumThreads(int threads) {
  Instance().threads = std::max(1, threads);
  Instance().pool.ForgetRefusal();
}

int NumThreads() {
  return Instance().threads;
}

void ParallelFor(int64_t count, void (*task)(void* context, int64_t index), void* context) {
  Shared& state = Instance();
  const int helpers = static_cast<int>(std::min<int64_t>(state.threads, count)) - 1;
  std::unique_lock<std::mutex> lock(state.mutex, std::defer_lock);
  if (helpers < 1 || !lock.try_lock()) {
    for (int64_t i = 0; i < count; ++i) task(context, i);
    return;
  }
  state.pool.Grow(helpers);
  state.pool.Run({count, task, context}, helpers);
}

}  // namespace nexttoken
