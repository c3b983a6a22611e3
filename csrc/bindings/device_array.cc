#include "device_array.h"

#include <utility>

#include "errors.h"

namespace py = pybind11;

namespace nexttoken {

DeviceArray::DeviceArray(std::string name, py::handle source, std::optional<int64_t> stream)
    : name_(std::move(name)), tensor_(name_.c_str(), Memory::kCuda) {
  if (!tensor_.Take(source, stream)) {
    RaiseParameterTypeError(name_ + " must be an array with DLPack, got " + Py_TYPE(source.ptr())->tp_name);
  }
  const DLTensor& tensor = tensor_.tensor();
  bool empty = false;
  for (int i = 0; i < tensor.ndim; ++i) empty = empty || tensor.shape[i] == 0;
  if (!tensor.data && !empty) {
    RaiseParameterTypeError(name_ + " must have memory to read, got a tensor without");
  }
}

uintptr_t DeviceArray::address() const {
  return reinterpret_cast<uintptr_t>(tensor_.tensor().data) + tensor_.tensor().byte_offset;
}

std::string DeviceArray::dtype() const {
  const DLDataType& type = tensor_.tensor().dtype;
  return NameOf(type) + (type.lanes == 1 ? "" : "x" + std::to_string(type.lanes));
}

std::vector<int64_t> DeviceArray::shape() const {
  const DLTensor& tensor = tensor_.tensor();
  return {tensor.shape, tensor.shape + tensor.ndim};
}

std::vector<int64_t> DeviceArray::strides() const {
  const DLTensor& tensor = tensor_.tensor();
  if (tensor.strides) return {tensor.strides, tensor.strides + tensor.ndim};
  std::vector<int64_t> dense(static_cast<size_t>(tensor.ndim), 1);  // null: rows one after the other
  for (size_t i = dense.size(); i-- > 1;) dense[i - 1] = dense[i] * tensor.shape[i];
  return dense;
}

}  // namespace nexttoken
