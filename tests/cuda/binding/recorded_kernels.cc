// The kernels in the words of the emulation, behind what a test may know of their calls.
#include <cstring>

#include "nexttoken/sample_batch.h"
#include "recording.h"

namespace nexttoken {

// SampleBatch, as csrc/cuda/sample.cu is compiled here.
int SampleBatchOfKernels(const BatchInput& input, const BatchOutput& output, const BatchPlan& plan, void* workspace,
                         void* stream);

int SampleBatch(const BatchInput& input, const BatchOutput& output, const BatchPlan& plan, void* workspace,
                void* stream) {
  Record(Queued::kStep, stream, 0);
  if (const int error = TakeFailure(Queued::kStep)) return error;
  return SampleBatchOfKernels(input, output, plan, workspace, stream);
}

int UploadToDevice(void* device, const void* host, size_t bytes, void* stream) {
  Record(Queued::kUpload, stream, static_cast<int64_t>(bytes));
  if (const int error = TakeFailure(Queued::kUpload)) return error;
  std::memcpy(device, host, bytes);
  return 0;
}

}  // namespace nexttoken
