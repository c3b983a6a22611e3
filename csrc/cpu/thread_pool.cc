#include "thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
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
  explicit ThreadPool(int workers) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { Work(); });
  }

  ~ThreadPool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void Run(const Job& job) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = job;
      next_ = 0;
      busy_ = static_cast<int>(threads_.size());
      ++generation_;
    }
    wake_.notify_all();
    Drain(job);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void Drain(const Job& job) {
    for (int64_t i = next_++; i < job.count; i = next_++) job.task(job.context, i);
  }

  void Work() {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
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
  uint64_t generation_ = 0;
  int busy_ = 0;
  bool stopping_ = false;
};

struct Shared {
  std::mutex mutex;  // held by the caller that has the pool
  ThreadPool* pool = nullptr;
  int workers = 0;
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
  const int workers = static_cast<int>(std::min<int64_t>(state.threads, count)) - 1;
  std::unique_lock<std::mutex> lock(state.mutex, std::defer_lock);
  if (workers < 1 || !lock.try_lock()) {
    for (int64_t i = 0; i < count; ++i) task(context, i);
    return;
  }
  if (state.workers != state.threads - 1) {
    delete state.pool;
    state.workers = state.threads - 1;
    state.pool = new ThreadPool(state.workers);
  }
  state.pool->Run({count, task, context});
}

}  // namespace nexttoken
