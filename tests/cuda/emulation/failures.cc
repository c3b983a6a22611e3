// The ends of programs that CUDA gives no meaning.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "emulation/machine.h"

namespace nexttoken::emulation {
namespace {

const char* const kNames[] = {
    "__syncwarp",        "__shfl_sync",       "__shfl_up_sync",      "__shfl_down_sync",  "__shfl_xor_sync",
    "__ballot_sync",     "__any_sync",        "__all_sync",          "__match_any_sync",  "__reduce_add_sync",
    "__reduce_min_sync", "__reduce_max_sync", "__reduce_or_sync",    "__reduce_and_sync", "__syncthreads",
    "__syncthreads_or",  "__syncthreads_and", "__syncthreads_count", "ClusterSync",
};
static_assert(sizeof kNames / sizeof kNames[0] == static_cast<size_t>(Meeting::kClusterSync) + 1);

bool Waits(const Thread& thread) {
  return ((thread.warp->meeting | thread.warp->waiting) & Bit(thread.lane)) != 0;
}

bool SamePlace(const Thread& a, const Thread& b) {
  return a.meeting == b.meeting && a.place.line == b.place.line && a.place.file == b.place.file;
}

// A line for all who wait at the place where `thread` is the first to.
void PrintWaiting(const Thread& thread) {
  unsigned count = 0;
  for (unsigned i = 0; i < machine->thread_count; ++i) {
    const Thread& other = machine->threads[i];
    if (!Waits(other) || !SamePlace(thread, other)) continue;
    if (++count == 1 && &other != &thread) return;
  }
  std::fprintf(stderr, "  %u at %s (%s:%d), first of them thread %u of block %u\n", count, Name(thread.meeting),
               thread.place.file, thread.place.line, thread.position->thread.x, thread.position->block.x);
}

}  // namespace

const char* Name(Meeting meeting) {
  return kNames[static_cast<size_t>(meeting)];
}

void Fail(const Thread* thread, const char* format, ...) {
  const uint3 block = thread->position->block;
  std::fprintf(stderr, "emulation: thread %u of block %u,%u,%u, ", thread->position->thread.x, block.x, block.y,
               block.z);
  if (thread->place.file != nullptr) {
    std::fprintf(stderr, "at or after %s (%s:%d): ", Name(thread->meeting), thread->place.file, thread->place.line);
  } else {
    std::fprintf(stderr, "before it waited anywhere: ");
  }
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "\n");
  std::abort();
}

void FailDeadlock() {
  std::fprintf(stderr, "emulation: deadlock: of %u threads %u have returned, the others wait\n", machine->thread_count,
               machine->returned);
  for (unsigned i = 0; i < machine->thread_count; ++i) {
    if (Waits(machine->threads[i])) PrintWaiting(machine->threads[i]);
  }
  std::abort();
}

}  // namespace nexttoken::emulation
