// Host memory to the device, and what the device is: calls of the CUDA runtime beside launches.
#include <algorithm>
#include <cstring>

#include "block/group.cuh"
#include "launch.cuh"
#include "nexttoken/sample_batch.h"
#include "sample_as.h"

namespace nexttoken {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocks = 8;  // arguments are read one word at a time: by several multiprocessors

// Host memory by way of a launch's arguments: copied when it is queued, and a part of the graph that captures it.
struct Payload {
  static constexpr int kWords = 8000;
  uint32_t words[kWords];
};

__global__ void StorePayload(const __grid_constant__ Payload payload, char* to, int bytes) {
  const char* from = reinterpret_cast<const char*>(payload.words);
  const int whole = bytes / 4;
  const int first = static_cast<int>(blockIdx.x) * Block::Size() + Block::Rank();
  for (int i = first; i < whole; i += kBlocks * Block::Size()) reinterpret_cast<uint32_t*>(to)[i] = payload.words[i];
  for (int i = whole * 4 + first; i < bytes; i += kBlocks * Block::Size()) to[i] = from[i];
}

}  // namespace

// Not by cudaMemcpyAsync: that may wait for the stream where memory is pageable, and read it later where it is not.
int UploadToDevice(void* device, const void* host, size_t bytes, void* stream) {
  if (bytes > kMaxCapturedUpload) {
    cudaStreamCaptureStatus capture;
    const cudaError_t error = cudaStreamIsCapturing(static_cast<cudaStream_t>(stream), &capture);
    if (error != cudaSuccess) return error;
    if (capture != cudaStreamCaptureStatusNone) return cudaErrorStreamCaptureUnsupported;
  }
  constexpr size_t kMost = sizeof(Payload::words);
  Payload payload = {};
  for (size_t done = 0; done < bytes; done += kMost) {
    const size_t part = std::min(bytes - done, kMost);
    std::memcpy(payload.words, static_cast<const char*>(host) + done, part);
    const int error = Launch(StorePayload, {kBlocks, kThreads, 1, 0}, stream, payload,
                             static_cast<char*>(device) + done, static_cast<int>(part));
    if (error) return error;
  }
  return 0;
}

int ReadDeviceLimits(int device, DeviceLimits* limits) {
  int major = 0, minor = 0, shared = 0, current = 0, compiled_for = 0;
  const auto read = [&](int* value, cudaDeviceAttr attribute) {
    return cudaDeviceGetAttribute(value, attribute, device);
  };
  cudaError_t error = read(&major, cudaDevAttrComputeCapabilityMajor);
  if (error == cudaSuccess) error = read(&minor, cudaDevAttrComputeCapabilityMinor);
  if (error == cudaSuccess) error = read(&limits->multiprocessors, cudaDevAttrMultiProcessorCount);
  if (error == cudaSuccess) error = read(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  if (error == cudaSuccess) error = cudaGetDevice(&current);
  // Not where it is current already: in a process with several, to set one makes a context on it.
  if (error == cudaSuccess && current != device) error = cudaSetDevice(device);
  if (error != cudaSuccess) return error;
  limits->shared_memory_bytes = shared;
  constexpr int64_t kUsualBlock = 76 << 10;
  const int failed = ReadKernelLimits(kUsualBlock, &compiled_for, &limits->max_cluster);
  limits->compute_capability = std::min(major * 10 + minor, compiled_for);
  if (current != device) error = cudaSetDevice(current);
  return failed ? failed : error;
}

}  // namespace nexttoken
