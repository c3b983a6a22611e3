// The device that a check runs on: a GPU where NEXTTOKEN_ON_GPU is defined, else the host in its place.
//
// Everything that is queued goes to one stream, so that order is the program's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "nexttoken/sample_batch.h"

namespace nexttoken::parity {

class Device {
 public:
  // Whether there is one. First of all to be called.
  static bool Exists();
  static std::string Name();
  static DeviceLimits Limits();
  static void* Stream();
  static void Synchronize();
};

// Ends the program with the error's name: a device that reports one is of no further use.
void RequireSuccess(int error, const char* what);

// Memory of the device, of exactly the size asked for.
//
// On the host it is a heap block of its own, for the address sanitizer to watch. On a GPU it is too where `exact` is
// set, for compute-sanitizer; else blocks are used again, because cudaMalloc costs more than a check, and bytes just
// past the end tell whether anything was written there.
class DeviceMemory {
 public:
  static bool exact;

  DeviceMemory() = default;
  explicit DeviceMemory(size_t bytes);
  template <class T>
  explicit DeviceMemory(const std::vector<T>& values) : DeviceMemory(values.size() * sizeof(T)) {
    Upload(values.data());
  }
  DeviceMemory(DeviceMemory&& other) noexcept { *this = static_cast<DeviceMemory&&>(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  ~DeviceMemory() { Release(); }

  void* data() const { return data_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }

  // All of it, on the stream. Download waits until it is there.
  void Upload(const void* host);
  void Download(void* host) const;
  template <class T>
  std::vector<T> Read() const {
    std::vector<T> values(bytes_ / sizeof(T));
    Download(values.data());
    return values;
  }
  // Something that no result looks like. Not where memory is exact: there a tool watches for what was never written.
  void Spoil();
  // Whether nothing was written past the end.
  bool IsIntact() const;

 private:
  void Release();

  void* data_ = nullptr;
  size_t bytes_ = 0;
  size_t capacity_ = 0;  // with what lies past the end; 0: no more than `bytes_`
};

}  // namespace nexttoken::parity
