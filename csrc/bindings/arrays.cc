#include "arrays.h"

#include <dlpack/dlpack.h>

#include <string>

namespace py = pybind11;

namespace nexttoken {
namespace {

constexpr char kExpected[] = "logits must be float32, float16 or bfloat16, got ";

[[noreturn]] void Raise(const char* name, const std::string& message) {
  const py::object type = py::module_::import("nexttoken.exceptions").attr(name);
  PyErr_SetString(type.ptr(), message.c_str());
  throw py::error_already_set();
}

// Strides in bytes, as NumPy and the buffer protocol have them.
std::vector<int64_t> InElements(const std::vector<int64_t>& strides, int64_t item_size) {
  std::vector<int64_t> elements;
  for (const int64_t stride : strides) {
    if (stride % item_size) {
      RaiseParameterError("logits must have strides that are multiples of the item size, got " +
                          std::to_string(stride) + " bytes for items of " + std::to_string(item_size));
    }
    elements.push_back(stride / item_size);
  }
  return elements;
}

void CheckDevice(int device_type) {
  if (device_type != kDLCPU && device_type != kDLCUDAHost) {
    RaiseParameterTypeError("logits must be in host memory in this build, got DLPack device type " +
                            std::to_string(device_type));
  }
}

bool DtypeOfDlpack(const DLDataType& type, DType* dtype) {
  if (type.lanes != 1) return false;
  if (type.code == kDLFloat && type.bits == 32)
    *dtype = DType::kFloat32;
  else if (type.code == kDLFloat && type.bits == 16)
    *dtype = DType::kFloat16;
  else if (type.code == kDLBfloat && type.bits == 16)
    *dtype = DType::kBFloat16;
  else
    return false;
  return true;
}

std::string NameOfDlpack(const DLDataType& type) {
  static const char* const kNames[] = {"int", "uint", "float", "handle", "bfloat", "complex", "bool"};
  return (type.code < 7 ? kNames[type.code] : "type ") + std::to_string(type.bits);
}

}  // namespace

void RaiseParameterError(const std::string& message) {
  Raise("ParameterError", message);
}
void RaiseParameterTypeError(const std::string& message) {
  Raise("ParameterTypeError", message);
}

LogitsArray::LogitsArray(py::handle source) {
  if (TakeNumpy(source) || TakeDlpack(source) || TakeBuffer(source)) return;
  RaiseParameterTypeError(
      "logits must be an array of NumPy, torch or anything with DLPack or the buffer protocol, got " +
      std::string(Py_TYPE(source.ptr())->tp_name));
}

void LogitsArray::SetShape(const void* data, DType dtype, const std::vector<int64_t>& shape,
                           const std::vector<int64_t>& strides) {
  if (shape.empty() || shape.size() > 2) {
    RaiseParameterError("logits must have the shape [vocab] or [batch, vocab], got " + std::to_string(shape.size()) +
                        " dimensions");
  }
  is_one_row_ = shape.size() == 1;
  const int64_t vocab_size = shape.back();
  if (vocab_size < 1 || vocab_size > kMaxVocabSize) {
    RaiseParameterError("logits must have a vocabulary of 1 to " + std::to_string(kMaxVocabSize) + ", got " +
                        std::to_string(vocab_size));
  }
  view_ = {data, is_one_row_ ? 1 : shape[0], vocab_size, is_one_row_ ? 0 : strides[0], strides.back(), dtype};
}

bool LogitsArray::TakeNumpy(py::handle source) {
  if (!py::isinstance<py::array>(source)) return false;
  const auto array = py::reinterpret_borrow<py::array>(source);
  const py::dtype type = array.dtype();
  DType dtype;
  if (type.kind() == 'f' && type.itemsize() == 4 && type.byteorder() == '=') {
    dtype = DType::kFloat32;
  } else if (type.kind() == 'f' && type.itemsize() == 2 && type.byteorder() == '=') {
    dtype = DType::kFloat16;
  } else if (const auto name = py::str(type).cast<std::string>(); name == "bfloat16") {  // of ml_dtypes
    dtype = DType::kBFloat16;
  } else {
    RaiseParameterTypeError(kExpected + name);
  }
  const std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
  const std::vector<int64_t> strides(array.strides(), array.strides() + array.ndim());
  SetShape(array.data(), dtype, shape, InElements(strides, ItemSize(dtype)));
  owner_ = array;
  return true;
}

bool LogitsArray::TakeDlpack(py::handle source) {
  if (!py::hasattr(source, "__dlpack__")) return false;
  // Asked first, because exporting from a device may wait for it; looked at again below, because not all can be asked.
  if (py::hasattr(source, "__dlpack_device__")) {
    const py::object device = source.attr("__dlpack_device__")();
    if (!py::isinstance<py::tuple>(device) || py::len(device) != 2) {
      RaiseParameterTypeError("logits must give a device type and id from __dlpack_device__, got " +
                              py::repr(device).cast<std::string>());
    }
    CheckDevice(py::int_(device[py::int_(0)]).cast<int>());
  }
  py::object capsule;
  try {
    capsule = source.attr("__dlpack__")(py::arg("max_version") = py::make_tuple(DLPACK_MAJOR_VERSION, 0));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;
    capsule = source.attr("__dlpack__")();  // a producer from before DLPack 1.0
  }
  const DLTensor* tensor = nullptr;
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    auto* managed = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    if (managed->version.major != DLPACK_MAJOR_VERSION) {
      RaiseParameterTypeError("logits must come by DLPack 1.x, got version " + std::to_string(managed->version.major));
    }
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
    tensor = &managed->dl_tensor;
    dlpack_ = {managed, [](DLManagedTensorVersioned* m) {
                 if (m->deleter) m->deleter(m);
               }};
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor");
    tensor = &managed->dl_tensor;
    dlpack_ = {managed, [](DLManagedTensor* m) {
                 if (m->deleter) m->deleter(m);
               }};
  } else {
    RaiseParameterTypeError("logits must give a DLPack capsule, got something else from __dlpack__");
  }
  CheckDevice(tensor->device.device_type);
  DType dtype;
  if (!DtypeOfDlpack(tensor->dtype, &dtype)) RaiseParameterTypeError(kExpected + NameOfDlpack(tensor->dtype));
  const std::vector<int64_t> shape(tensor->shape, tensor->shape + tensor->ndim);
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 0;) {  // a null `strides` means rows one after the other
    if (tensor->strides)
      strides[i] = tensor->strides[i];
    else if (i + 1 < shape.size())
      strides[i] = strides[i + 1] * shape[i + 1];
  }
  SetShape(static_cast<const char*>(tensor->data) + tensor->byte_offset, dtype, shape, strides);
  return true;
}

bool LogitsArray::TakeBuffer(py::handle source) {
  if (!PyObject_CheckBuffer(source.ptr())) return false;
  const auto view = std::make_shared<py::buffer_info>(py::reinterpret_borrow<py::buffer>(source).request());
  DType dtype;
  if (view->format == "f")
    dtype = DType::kFloat32;
  else if (view->format == "e")
    dtype = DType::kFloat16;
  else
    RaiseParameterTypeError(kExpected + ("a buffer of format " + view->format));
  SetShape(view->ptr, dtype, {view->shape.begin(), view->shape.end()},
           InElements({view->strides.begin(), view->strides.end()}, ItemSize(dtype)));
  owner_ = py::capsule(new std::shared_ptr<py::buffer_info>(view),
                       [](void* held) { delete static_cast<std::shared_ptr<py::buffer_info>*>(held); });
  return true;
}

}  // namespace nexttoken
