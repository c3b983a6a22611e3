#include <algorithm>

#include "sample_as.cuh"

template int nexttoken::SampleAs<nexttoken::DType::kFloat32>(const BatchInput&, const BatchOutput&, const BatchPlan&,
                                                             const RowLayout&, const BatchMemory&, void*);

#if defined(__CUDACC__)
// Asked of one kernel for all: the dtypes differ in how they read a logit only.
int nexttoken::ReadKernelLimits(int64_t shared_memory_bytes, int* compute_capability, int* max_cluster) {
  const auto kernel = SampleOnChip<DType::kFloat32>;
  cudaFuncAttributes attributes;
  cudaError_t error = cudaFuncGetAttributes(&attributes, kernel);
  if (error != cudaSuccess) return error;
  *compute_capability = std::min(attributes.ptxVersion, attributes.binaryVersion);
  *max_cluster = 1;
  if (*compute_capability < 90) return 0;
  error = PermitAll(kernel, true);
  if (error != cudaSuccess) return error;
  for (const int cluster : {8, 16}) {
    const LaunchConfig launch({cluster, kMaxThreads, cluster, shared_memory_bytes}, nullptr);
    int active = 0;
    if (cudaOccupancyMaxActiveClusters(&active, kernel, &launch.config) == cudaSuccess && active > 0) {
      *max_cluster = cluster;
    }
  }
  cudaGetLastError();  // an answer of no is not an error of ours
  return 0;
}
#endif
