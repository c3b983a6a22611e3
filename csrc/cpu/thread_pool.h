// Rows over threads.
#pragma once

#include <cstdint>

namespace nexttoken {

// How many threads a call may use, the calling one included; at least 1. The default is 1: a step over one row gains
// nothing from a second thread, and a server has its own use for the cores. Where the system refuses to start a thread,
// those there are do the work, and it is asked again only after the next SetNumThreads.
void SetNumThreads(int threads);
int NumThreads();

// Runs task(0) .. task(count - 1), each once, on the calling thread and the pool's; returns when all are done. Where
// tasks throw (the memory for a row may run out), the first exception to be caught comes out of this call, once no
// thread is at work on it any more; tasks that had not begun by then are left out. While one caller has the pool,
// others run their tasks themselves: nobody waits for anybody else's rows.
void ParallelFor(int64_t count, void (*task)(void* context, int64_t index), void* context);

template <class Task>
void ParallelFor(int64_t count, Task task) {
  ParallelFor(count, [](void* context, int64_t index) { (*static_cast<Task*>(context))(index); }, &task);
}

}  // namespace nexttoken
