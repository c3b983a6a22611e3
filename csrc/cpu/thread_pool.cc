#include "thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace nexttoken {
namespace {

struct Job {
  int64_t count;
  void (*task)(void* context, int64_t index);
  void* context;
};

class ThreadPool {
 public:
  // Starts workers until there are `wanted`, or as many as the system gives: fewer threads draw the same tokens.
  void Grow(int wanted) {
    try {
      while (static_cast<int>(threads_.size()) < wanted) threads_.emplace_back([this] { Work(); });
    } catch (const std::exception&) {
    }
  }

  // On the calling thread and at most `helpers` workers. The first exception of a task is thrown here, once no thread
  // is at work any more; tasks that had not begun by then are left out.
  void Run(const Job& job, int helpers) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job_ = job;
      next_ = 0;
      error_ = nullptr;
      tickets_ = busy_ = std::min(helpers, static_cast<int>(threads_.size()));
    }
    wake_.notify_all();
    Drain(job);
    std::unique_lock<std::mutex> lock(mutex_);
    busy_ -= tickets_;  // nobody need begin any more
    tickets_ = 0;
    done_.wait(lock, [this] { return busy_ == 0; });
    if (error_) std::rethrow_exception(error_);
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

  void Work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return tickets_ > 0; });
      --tickets_;
      const Job job = job_;
      lock.unlock();
      Drain(job);
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  Job job_{};
  std::atomic<int64_t> next_{0};
  std::exception_ptr error_;
  int tickets_ = 0;  // workers that may still join the job
  int busy_ = 0;     // workers that have joined it or may
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
