// The launches of one step for logits of one dtype. Each is defined in a file of its own, sample_<dtype>.cu, so that
// they compile side by side.
#pragma once

#include "row_memory.cuh"

namespace nexttoken {

// Returns 0 or the cudaError_t of the launch that failed.
template <DType kDType>
int SampleAs(const BatchInput& input, const BatchOutput& output, const BatchPlan& plan, const RowLayout& layout,
             const BatchMemory& memory, void* stream);

// What the kernels were compiled for, and the largest cluster that the device can hold of them: 1, 8 or 16. Returns 0
// or a cudaError_t.
int ReadKernelLimits(int64_t shared_memory_bytes, int* compute_capability, int* max_cluster);

extern template int SampleAs<DType::kFloat32>(const BatchInput&, const BatchOutput&, const BatchPlan&, const RowLayout&,
                                              const BatchMemory&, void*);
extern template int SampleAs<DType::kFloat16>(const BatchInput&, const BatchOutput&, const BatchPlan&, const RowLayout&,
                                              const BatchMemory&, void*);
extern template int SampleAs<DType::kBFloat16>(const BatchInput&, const BatchOutput&, const BatchPlan&,
                                               const RowLayout&, const BatchMemory&, void*);

}  // namespace nexttoken
