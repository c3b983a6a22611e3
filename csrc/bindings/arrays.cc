#include "arrays.h"

#include <string>
#include <vector>

namespace py = pybind11;

namespace nexttoken {
namespace {

constexpr char kExpected[] = "logits must be float32, float16 or bfloat16, got ";

[[noreturn]] void Raise(const char* name, const std::string& message) {
  const py::object type = py::module_::import("nexttoken.exceptions").attr(name);
  PyErr_SetString(type.ptr(), message.c_str());
  throw py::error_already_set();
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
  const std::string bits = std::to_string(type.bits);
  if (type.code < 7) return kNames[type.code] + bits;
  return "DLPack type code " + std::to_string(type.code) + " of " + bits + " bits";
}

}  // namespace

void RaiseParameterError(const std::string& message) {
  Raise("ParameterError", message);
}
void RaiseParameterTypeError(const std::string& message) {
  Raise("ParameterTypeError", message);
}

LogitsArray::LogitsArray(py::handle source) {
  if (TakeNumpy(source) || TakeExchange(source) || TakeDlpack(source) || TakeBuffer(source)) return;
  RaiseParameterTypeError(
      "logits must be an array of NumPy, torch or anything with DLPack or the buffer protocol, got " +
      std::string(Py_TYPE(source.ptr())->tp_name));
}

void LogitsArray::SetShape(const void* data, DType dtype, int64_t dimensions, const int64_t* shape,
                           const int64_t* strides, int64_t stride_bytes) {
  if (dimensions < 1 || dimensions > 2) {
    RaiseParameterError("logits must have the shape [vocab] or [batch, vocab], got " + std::to_string(dimensions) +
                        " dimensions");
  }
  is_one_row_ = dimensions == 1;
  const int64_t vocab_size = shape[dimensions - 1];
  if (vocab_size < 1 || vocab_size > kMaxVocabSize) {
    RaiseParameterError("logits must have a vocabulary of 1 to " + std::to_string(kMaxVocabSize) + ", got " +
                        std::to_string(vocab_size));
  }
  const auto in_items = [&](int64_t stride) {
    if (stride_bytes == ItemSize(dtype)) return stride;
    if (stride % ItemSize(dtype)) {
      RaiseParameterError("logits must have strides that are multiples of the item size, got " +
                          std::to_string(stride) + " bytes for items of " + std::to_string(ItemSize(dtype)));
    }
    return stride / ItemSize(dtype);
  };
  const int64_t row_stride = is_one_row_ ? 0 : in_items(strides[0]);
  view_ = {data, is_one_row_ ? 1 : shape[0], vocab_size, row_stride, in_items(strides[dimensions - 1]), dtype};
}

void LogitsArray::SetTensor(const DLTensor& tensor) {
  CheckDevice(tensor.device.device_type);
  DType dtype;
  if (!DtypeOfDlpack(tensor.dtype, &dtype)) RaiseParameterTypeError(kExpected + NameOfDlpack(tensor.dtype));
  // Null: rows one after the other.
  const int64_t dense[2] = {tensor.ndim == 2 ? tensor.shape[1] : 1, 1};
  SetShape(static_cast<const char*>(tensor.data) + tensor.byte_offset, dtype, tensor.ndim, tensor.shape,
           tensor.strides ? tensor.strides : dense, ItemSize(dtype));
  if (!tensor.data && view_.batch_size > 0) {  // torch has tensors that only stand for one
    RaiseParameterTypeError("logits must have memory to read, got a tensor without");
  }
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
  SetShape(array.data(), dtype, array.ndim(), array.shape(), array.strides(), 1);
  owner_ = array;
  return true;
}

// DLPack's table of C functions, some 30 times quicker than __dlpack__ of a torch tensor. Whatever it does not do,
// __dlpack__ is asked for, and says what is wrong.
bool LogitsArray::TakeExchange(py::handle source) {
  PyTypeObject* type = Py_TYPE(source.ptr());
  const auto capsule = py::reinterpret_steal<py::object>(
      PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__dlpack_c_exchange_api__"));
  if (!capsule) {
    PyErr_Clear();
    return false;
  }
  if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return false;
  auto* api = static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  if (api->header.version.major != DLPACK_MAJOR_VERSION || !api->dltensor_from_py_object_no_sync) return false;
  DLTensor tensor;
  if (api->dltensor_from_py_object_no_sync(source.ptr(), &tensor) != 0) {
    PyErr_Clear();
    return false;
  }
  SetTensor(tensor);
  owner_ = py::reinterpret_borrow<py::object>(source);
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
  SetTensor(*tensor);
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
  const std::vector<int64_t> shape(view->shape.begin(), view->shape.end());
  const std::vector<int64_t> strides(view->strides.begin(), view->strides.end());
  SetShape(view->ptr, dtype, view->ndim, shape.data(), strides.data(), 1);
  owner_ = py::capsule(new std::shared_ptr<py::buffer_info>(view),
                       [](void* held) { delete static_cast<std::shared_ptr<py::buffer_info>*>(held); });
  return true;
}

}  // namespace nexttoken
