// Threads that the system does not start: the work is done without them, and the system is not asked at every call.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "thread_pool.h"

namespace {

std::atomic<int> asked{0};
std::atomic<int> granted{1000};  // how many more threads may start

}  // namespace

// Visible: the one that libstdc++ calls.
extern "C" __attribute__((visibility("default"))) int pthread_create(pthread_t* thread,
                                                                     const pthread_attr_t* attributes,
                                                                     void* (*start)(void*), void* argument) {
  static const auto real = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  ++asked;
  if (granted == 0) return EAGAIN;
  --granted;
  return real(thread, attributes, start, argument);
}

namespace {

using namespace nexttoken;

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s: asked for %d threads, %d more granted\n", what, asked.load(), granted.load());
  std::abort();
}

// Jobs of several sizes; every index once.
void RunJobs() {
  for (int job = 0; job < 100; ++job) {
    std::vector<int> times(static_cast<size_t>(2 + job % 20), 0);
    ParallelFor(static_cast<int64_t>(times.size()), [&](int64_t i) { ++times[static_cast<size_t>(i)]; });
    for (const int n : times) Require(n == 1, "an index was left out or came twice");
  }
}

// Asked `due` times in 100 jobs when no more than `grant` threads may start.
void Expect(int grant, int due, const char* what) {
  asked = 0;
  granted = grant;
  RunJobs();
  Require(asked == due, what);
}

}  // namespace

int main() {
  SetNumThreads(8);
  Expect(0, 1, "refused at once");
  Expect(1000, 0, "not asked again");
  SetNumThreads(8);
  Expect(2, 3, "refused after two");
  SetNumThreads(6);
  Expect(1000, 3, "the five helpers of six threads, two of them there");
  SetNumThreads(8);
  Expect(1000, 2, "and two more");
  Expect(1000, 0, "all there");
  return 0;
}
