#include "nexttoken/device_runtime.h"

#include <cuda_runtime_api.h>

namespace nexttoken {

int CountDevices(int* count) {
  *count = 0;
  const cudaError_t error = cudaGetDeviceCount(count);
  if (error != cudaSuccess) {
    cudaGetLastError();  // or the next launch would report it
    *count = 0;
  }
  return error;
}

int DeviceOf(const void* address, int* device) {
  cudaPointerAttributes attributes;
  if (const cudaError_t error = cudaPointerGetAttributes(&attributes, address)) return error;
  const bool on_device = attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
  *device = on_device ? attributes.device : -1;
  return cudaSuccess;
}

int QueueAfter(void* stream, void* before) {
  cudaEvent_t event;
  if (const cudaError_t error = cudaEventCreateWithFlags(&event, cudaEventDisableTiming)) return error;
  cudaError_t error = cudaEventRecord(event, static_cast<cudaStream_t>(before));
  if (!error) error = cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), event, 0);
  cudaEventDestroy(event);  // once it is reached
  return error;
}

std::string ErrorText(int error) {
  const auto code = static_cast<cudaError_t>(error);
  return std::string(cudaGetErrorString(code)) + " (" + cudaGetErrorName(code) + ")";
}

CurrentDevice::CurrentDevice(int device) {
  int current = 0;
  error_ = cudaGetDevice(&current);
  if (error_ || current == device) return;
  error_ = cudaSetDevice(device);
  if (!error_) previous_ = current;
}

CurrentDevice::~CurrentDevice() {
  if (previous_ >= 0) cudaSetDevice(previous_);
}

}  // namespace nexttoken
