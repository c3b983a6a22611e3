// A parameter's array in device memory: where it lies and how it is laid out. Nothing of it is read.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "borrowed_tensor.h"

namespace nexttoken {

// By DLPack. Keeps the memory alive; bound to Python as _core.DeviceArray.
class DeviceArray {
 public:
  // `name` is the parameter's, for errors. `stream`: see BorrowedTensor::Take.
  DeviceArray(std::string name, pybind11::handle source, std::optional<int64_t> stream);
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  uintptr_t address() const;
  int device() const { return tensor_.tensor().device.device_id; }
  std::string dtype() const;
  std::vector<int64_t> shape() const;
  std::vector<int64_t> strides() const;  // in elements

 private:
  std::string name_;
  BorrowedTensor tensor_;
};

}  // namespace nexttoken
