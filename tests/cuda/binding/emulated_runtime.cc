// csrc/include/nexttoken/device_runtime.h without a device: as many as a test wants, all of them in host memory.
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "nexttoken/device_runtime.h"
#include "recording.h"

namespace nexttoken {
namespace {

struct Entry {
  int64_t what, stream, device, detail;
};

std::mutex mutex;
std::vector<Entry> entries;
std::map<int64_t, int> failures;
int devices = 2;
int owner = 0;  // of every address
thread_local int current_device = 0;

}  // namespace

void Record(Queued what, void* stream, int64_t detail) {
  const std::lock_guard<std::mutex> lock(mutex);
  entries.push_back({static_cast<int64_t>(what), reinterpret_cast<intptr_t>(stream), current_device, detail});
}

int TakeFailure(Queued what) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = failures.find(static_cast<int64_t>(what));
  if (found == failures.end()) return 0;
  const int error = found->second;
  failures.erase(found);
  return error;
}

int CountDevices(int* count) {
  *count = devices;
  return devices ? 0 : 100;
}

int ReadDeviceLimits(int, DeviceLimits* limits) {
  *limits = {90, 4, int64_t{227} << 10, 8};
  return 0;
}

int DeviceOf(const void*, int* device) {
  *device = owner;
  return 0;
}

int QueueAfter(void* stream, void* before) {
  Record(Queued::kOrder, stream, reinterpret_cast<intptr_t>(before));
  return TakeFailure(Queued::kOrder);
}

std::string ErrorText(int error) {
  return "emulated error " + std::to_string(error);
}

CurrentDevice::CurrentDevice(int device) : previous_(current_device) {
  current_device = device;
}
CurrentDevice::~CurrentDevice() {
  current_device = previous_;
}

}  // namespace nexttoken

#define NEXTTOKEN_EXPORT extern "C" __attribute__((visibility("default")))

NEXTTOKEN_EXPORT void emulated_reset() {
  const std::lock_guard<std::mutex> lock(nexttoken::mutex);
  nexttoken::entries.clear();
  nexttoken::failures.clear();
  nexttoken::devices = 2;
  nexttoken::owner = 0;
}

// Copies an entry as four integers; 0 beyond the last.
NEXTTOKEN_EXPORT int emulated_entry(int64_t index, int64_t* into) {
  const std::lock_guard<std::mutex> lock(nexttoken::mutex);
  if (index >= static_cast<int64_t>(nexttoken::entries.size())) return 0;
  const nexttoken::Entry& entry = nexttoken::entries[static_cast<size_t>(index)];
  into[0] = entry.what;
  into[1] = entry.stream;
  into[2] = entry.device;
  into[3] = entry.detail;
  return 1;
}

NEXTTOKEN_EXPORT void emulated_fail(int64_t what, int error) {
  const std::lock_guard<std::mutex> lock(nexttoken::mutex);
  nexttoken::failures[what] = error;
}

NEXTTOKEN_EXPORT void emulated_set_devices(int count) {
  nexttoken::devices = count;
}

NEXTTOKEN_EXPORT void emulated_set_owner(int device) {
  nexttoken::owner = device;
}
