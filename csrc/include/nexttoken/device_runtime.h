// What a caller of sample_batch.h asks of the CUDA runtime, without its headers. Nothing here waits for a device.
//
// An int that is returned is 0 or a cudaError_t.
#pragma once

#include <string>

#include "nexttoken/sample_batch.h"

namespace nexttoken {

// 0 devices where there is no card or no driver for one: the error says which.
int CountDevices(int* count);

// What launches on a device are fitted to, which the kernels know: beside them in csrc/cuda/upload.cu.
int ReadDeviceLimits(int device, DeviceLimits* limits);

// The device whose memory holds an address; -1 for memory of the host.
int DeviceOf(const void* address, int* device);

// What is queued on `stream` from now on runs after what is queued on `before` by now; both of the current device.
int QueueAfter(void* stream, void* before);

std::string ErrorText(int error);

// Makes a device the current one of this thread, until it goes.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

  int error() const { return error_; }

 private:
  int previous_ = -1;  // -1: nothing to put back
  int error_ = 0;
};

}  // namespace nexttoken
