// The host in the place of a device.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "device.h"

namespace nexttoken::parity {

bool DeviceMemory::exact = true;

bool Device::Exists() {
  return true;
}

std::string Device::Name() {
  return "the host in a GPU's place";
}

DeviceLimits Device::Limits() {
  return {90, 8, int64_t{227} << 10, 16};
}

void* Device::Stream() {
  return nullptr;
}

void Device::Synchronize() {}

void RequireSuccess(int error, const char* what) {
  if (error == 0) return;
  std::printf("%s: error %d\n", what, error);
  std::exit(1);
}

DeviceMemory::DeviceMemory(size_t bytes) : bytes_(bytes) {
  if (posix_memalign(&data_, 256, bytes) != 0) std::abort();
}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void DeviceMemory::Release() {
  std::free(data_);
}

void DeviceMemory::Upload(const void* host) {
  if (bytes_) std::memcpy(data_, host, bytes_);
}

void DeviceMemory::Download(void* host) const {
  if (bytes_) std::memcpy(host, data_, bytes_);
}

void DeviceMemory::Spoil() {
  std::memset(data_, 0xa5, bytes_);
}

bool DeviceMemory::IsIntact() const {
  return true;
}

}  // namespace nexttoken::parity
