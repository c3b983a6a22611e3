#include "nexttoken/sample.h"

#include <cstdlib>
#include <memory>
#include <new>

#include "float_environment.h"
#include "targets.h"
#include "thread_pool.h"

namespace nexttoken {
namespace {

// A thread's scratch memory: grown when a row is larger than any before, else reused.
void* ThreadWorkspace(size_t bytes) {
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  thread_local std::unique_ptr<void, Free> memory;
  thread_local size_t capacity = 0;
  if (capacity < bytes) {
    capacity = 0;
    memory.reset(std::aligned_alloc(64, bytes));
    if (!memory) throw std::bad_alloc();
    capacity = bytes;
  }
  return memory.get();
}

}  // namespace

void SampleRows(const RowInput* inputs, const RowOutput* outputs, int64_t rows) {
  const RowKernel kernel = ActiveRowKernel();
  ParallelFor(rows, [&](int64_t row) {
    const FloatEnvironment environment;
    kernel(inputs[row], outputs[row], ThreadWorkspace(WorkspaceBytes(inputs[row].logits.vocab_size)));
  });
}

}  // namespace nexttoken
