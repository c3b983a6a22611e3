// One step: its memory, and the dtype it is for.
#include "nexttoken/sample_batch.h"

#include "batch_plan.h"
#include "sample_as.h"

namespace nexttoken {
namespace {

int64_t HistorySlots(const BatchInput& input) {
  if (!input.prompt.data && !input.output.data) return 0;
  const int64_t most = (input.prompt.data ? input.prompt.length : 0) + (input.output.data ? input.output.length : 0) +
                       (input.history.begin ? input.longest_history : 0);
  int64_t slots = 2;
  while (slots < 2 * most) slots *= 2;
  return slots;
}

// The memory of a step at `base`; returns the bytes it takes, also for a null base.
int64_t LayOutMemory(const BatchInput& input, const RowLayout& layout, char* base, BatchMemory* memory) {
  int64_t used = 0;
  const auto take = [&](int64_t bytes) {
    char* at = base + used;
    used += (bytes + 255) / 256 * 256;
    return at;
  };
  const int64_t rows = input.logits.batch_size;
  memory->rows = take(rows * layout.bytes);
  const int64_t slots = HistorySlots(input);
  memory->counted = {};
  if (slots > 0) {
    char* entries = take(rows * slots * static_cast<int64_t>(sizeof(HistoryEntry)));
    memory->counted = {reinterpret_cast<HistoryEntry*>(entries),
                       reinterpret_cast<int32_t*>(take(rows * static_cast<int64_t>(sizeof(int32_t)))), slots};
  }
  return used;
}

}  // namespace

size_t BatchWorkspaceBytes(const BatchInput& input, const BatchPlan& plan) {
  BatchMemory unused;
  return static_cast<size_t>(LayOutMemory(input, LayOutBatch(input.logits.vocab_size, plan), nullptr, &unused));
}

int SampleBatch(const BatchInput& input, const BatchOutput& output, const BatchPlan& plan, void* workspace,
                void* stream) {
  const RowLayout layout = LayOutBatch(input.logits.vocab_size, plan);
  BatchMemory memory;
  LayOutMemory(input, layout, static_cast<char*>(workspace), &memory);
  switch (input.logits.dtype) {
    case DType::kFloat16:
      return SampleAs<DType::kFloat16>(input, output, plan, layout, memory, stream);
    case DType::kBFloat16:
      return SampleAs<DType::kBFloat16>(input, output, plan, layout, memory, stream);
    default:
      return SampleAs<DType::kFloat32>(input, output, plan, layout, memory, stream);
  }
}

}  // namespace nexttoken
