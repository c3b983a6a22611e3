// Host memory to the device, and what the device is: the only calls of the CUDA runtime beside launches.
#include <algorithm>
#include <cstring>

#include "block/group.cuh"
#include "launch.cuh"
#include "nexttoken/sample_batch.h"

namespace nexttoken {
namespace {

constexpr int kThreads = 256;

// Host memory by way of a launch's arguments: copied when it is queued, and a part of the graph that captures it.
struct Payload {
  static constexpr int kWords = 8000;
  uint32_t words[kWords];
};

__global__ void StorePayload(const __grid_constant__ Payload payload, char* to, int bytes) {
  const char* from = reinterpret_cast<const char*>(payload.words);
  const int whole = bytes / 4;
  for (int i = Block::Rank(); i < whole; i += Block::Size()) reinterpret_cast<uint32_t*>(to)[i] = payload.words[i];
  for (int i = whole * 4 + Block::Rank(); i < bytes; i += Block::Size()) to[i] = from[i];
}

}  // namespace

int UploadToDevice(void* device, const void* host, size_t bytes, void* stream) {
  if (bytes > kMaxCapturedUpload) {
    cudaStreamCaptureStatus capture;
    const cudaError_t error = cudaStreamIsCapturing(static_cast<cudaStream_t>(stream), &capture);
    if (error != cudaSuccess) return error;
    if (capture != cudaStreamCaptureStatusNone) return cudaErrorStreamCaptureUnsupported;
    return cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream));
  }
  // Arguments of a launch are copied when it is queued: the host need not wait, as it must for pageable memory.
  constexpr size_t kMost = sizeof(Payload::words);
  for (size_t done = 0; done < bytes; done += kMost) {
    const size_t part = std::min(bytes - done, kMost);
    Payload payload = {};
    std::memcpy(payload.words, static_cast<const char*>(host) + done, part);
    const int error = Launch(StorePayload, {1, kThreads, 1, 0}, stream, payload, static_cast<char*>(device) + done,
                             static_cast<int>(part));
    if (error) return error;
  }
  return 0;
}

int ReadDeviceLimits(int device, DeviceLimits* limits) {
  int major = 0, minor = 0, shared = 0;
  const auto read = [&](int* value, cudaDeviceAttr attribute) {
    return cudaDeviceGetAttribute(value, attribute, device);
  };
  cudaError_t error = read(&major, cudaDevAttrComputeCapabilityMajor);
  if (error == cudaSuccess) error = read(&minor, cudaDevAttrComputeCapabilityMinor);
  if (error == cudaSuccess) error = read(&limits->multiprocessors, cudaDevAttrMultiProcessorCount);
  if (error == cudaSuccess) error = read(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  limits->compute_capability = major * 10 + minor;
  limits->shared_memory_bytes = shared;
  return error;
}

}  // namespace nexttoken
