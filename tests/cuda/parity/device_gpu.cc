// A GPU, through the runtime API alone: any host compiler takes this file.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

#include "device.h"
#include "nexttoken/device_runtime.h"

namespace nexttoken::parity {
namespace {

constexpr size_t kWatched = 64;  // bytes past the end
constexpr int kPattern = 0x5a;

cudaStream_t TheStream() {
  static cudaStream_t stream = [] {
    cudaStream_t made;
    RequireSuccess(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cudaStreamCreate");
    return made;
  }();
  return stream;
}

// Blocks by size that are not in use. Never given back: the program's end does that.
std::multimap<size_t, void*>& FreeBlocks() {
  static auto* blocks = new std::multimap<size_t, void*>;
  return *blocks;
}

size_t RoundedUp(size_t bytes) {
  size_t size = 512;
  while (size < bytes) size *= 2;
  return size;
}

}  // namespace

bool DeviceMemory::exact = false;

bool Device::Exists() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

std::string Device::Name() {
  cudaDeviceProp properties;
  RequireSuccess(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  return properties.name;
}

DeviceLimits Device::Limits() {
  DeviceLimits limits;
  RequireSuccess(ReadDeviceLimits(0, &limits), "ReadDeviceLimits");
  return limits;
}

void* Device::Stream() {
  return TheStream();
}

void Device::Synchronize() {
  RequireSuccess(cudaStreamSynchronize(TheStream()), "cudaStreamSynchronize");
}

void RequireSuccess(int error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("%s: %s\n", what, cudaGetErrorString(static_cast<cudaError_t>(error)));
  std::exit(1);
}

DeviceMemory::DeviceMemory(size_t bytes) : bytes_(bytes) {
  if (exact) {
    RequireSuccess(cudaMalloc(&data_, std::max<size_t>(bytes, 1)), "cudaMalloc");
    return;
  }
  capacity_ = RoundedUp(bytes + kWatched);
  const auto found = FreeBlocks().find(capacity_);
  if (found == FreeBlocks().end()) {
    RequireSuccess(cudaMalloc(&data_, capacity_), "cudaMalloc");
  } else {
    data_ = found->second;
    FreeBlocks().erase(found);
  }
  RequireSuccess(cudaMemsetAsync(as<char>() + bytes, kPattern, kWatched, TheStream()), "cudaMemset");
}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(capacity_, other.capacity_);
  return *this;
}

void DeviceMemory::Release() {
  if (!data_) return;
  if (capacity_) {
    FreeBlocks().emplace(capacity_, data_);
  } else {
    RequireSuccess(cudaFree(data_), "cudaFree");  // waits for the device
  }
}

void DeviceMemory::Upload(const void* host) {
  if (bytes_ == 0) return;
  // Pageable memory is free for use again when this returns.
  RequireSuccess(cudaMemcpyAsync(data_, host, bytes_, cudaMemcpyHostToDevice, TheStream()), "upload");
}

void DeviceMemory::Download(void* host) const {
  if (bytes_) RequireSuccess(cudaMemcpyAsync(host, data_, bytes_, cudaMemcpyDeviceToHost, TheStream()), "download");
  Device::Synchronize();
}

void DeviceMemory::Spoil() {
  if (!exact) RequireSuccess(cudaMemsetAsync(data_, 0xa5, bytes_, TheStream()), "cudaMemset");
}

bool DeviceMemory::IsIntact() const {
  if (!capacity_) return true;
  char found[kWatched];
  RequireSuccess(cudaMemcpyAsync(found, as<char>() + bytes_, kWatched, cudaMemcpyDeviceToHost, TheStream()),
                 "download");
  Device::Synchronize();
  return std::all_of(found, found + kWatched, [](char byte) { return byte == kPattern; });
}

}  // namespace nexttoken::parity
