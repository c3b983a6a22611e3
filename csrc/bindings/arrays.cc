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

PyObject* Interned(const char* name) {
  PyObject* string = PyUnicode_InternFromString(name);
  if (!string) throw py::error_already_set();
  return string;
}

// An attribute, or null where there is none. Any other error of looking is thrown: an interrupt, memory that ran out.
py::object Find(py::handle object, PyObject* name) {
  auto found = py::reinterpret_steal<py::object>(PyObject_GetAttr(object.ptr(), name));
  if (!found) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
    PyErr_Clear();
  }
  return found;
}

// After one way to the memory has failed, before another is tried: forgets why, unless all ways would fail so.
void ForgetError() {
  if (!PyErr_Occurred()) return;
  if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError)) {
    throw py::error_already_set();
  }
  PyErr_Clear();
}

// torch negates the imaginary part of a conjugate when it is read, by a bit of the tensor that DLPack does not know:
// the memory holds the wrong sign. False for what is no tensor of torch.
bool CheckNegativeBit(py::handle source) {
  static PyObject* const kIsNeg = Interned("is_neg");
  const auto negative = py::reinterpret_steal<py::object>(PyObject_CallMethodNoArgs(source.ptr(), kIsNeg));
  if (!negative) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
    PyErr_Clear();
    return false;
  }
  if (negative.is(py::handle(Py_True))) {
    RaiseParameterTypeError(
        "logits must hold the values themselves, got a tensor with the negative bit set (its resolve_neg() holds "
        "them)");
  }
  return true;
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

void LogitsArray::TakeManaged(DLManagedTensorVersioned* managed) {
  dlpack_ = {managed, [](void* held) {
               auto* m = static_cast<DLManagedTensorVersioned*>(held);
               if (m->deleter) m->deleter(m);
             }};
  if (managed->version.major != DLPACK_MAJOR_VERSION) {
    RaiseParameterTypeError("logits must come by DLPack 1.x, got version " + std::to_string(managed->version.major));
  }
  SetTensor(managed->dl_tensor);
}

// DLPack's table of C functions, much quicker than __dlpack__ of a torch tensor. Whatever it does not do, __dlpack__ is
// asked for, and says what is wrong.
//
// The memory must outlive Python code that runs before it is read (the entries of rows may be any objects) and, while
// it is read, other threads. Hence the export that owns, not the quicker one that lends until control returns. From
// torch even that owns the tensor only, and `x.set_(y)` or `x.data = y` gives a tensor other memory and lets go of the
// old: so the storage, which is the memory, is held too. What resizes a storage takes the memory away all the same.
bool LogitsArray::TakeExchange(py::handle source) {
  static PyObject* const kTable = Interned("__dlpack_c_exchange_api__");
  static PyObject* const kStorage = Interned("untyped_storage");
  const py::object capsule = Find(reinterpret_cast<PyObject*>(Py_TYPE(source.ptr())), kTable);
  if (!capsule || !PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return false;
  auto* api = static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  if (api->header.version.major != DLPACK_MAJOR_VERSION || !api->managed_tensor_from_py_object_no_sync) return false;
  if (CheckNegativeBit(source)) {
    // Right before the export: no other thread can come in between.
    owner_ = py::reinterpret_steal<py::object>(PyObject_CallMethodNoArgs(source.ptr(), kStorage));
    if (!owner_) {  // sparse, for one
      ForgetError();
      return false;
    }
  }
  DLManagedTensorVersioned* managed = nullptr;
  if (api->managed_tensor_from_py_object_no_sync(source.ptr(), &managed) != 0 || !managed) {
    ForgetError();
    owner_ = {};
    return false;
  }
  TakeManaged(managed);
  return true;
}

bool LogitsArray::TakeDlpack(py::handle given) {
  static PyObject* const kDlpack = Interned("__dlpack__");
  static PyObject* const kDevice = Interned("__dlpack_device__");
  if (!Find(given, kDlpack)) return false;
  auto source = py::reinterpret_borrow<py::object>(given);
  // torch exports no tensor that requires a gradient, which reading does not need; and a tensor of our own keeps its
  // storage, see TakeExchange.
  if (CheckNegativeBit(source)) source = source.attr("detach")();
  // Asked first, because exporting from a device may wait for it; looked at again below, because not all can be asked.
  if (const py::object ask = Find(source, kDevice)) {
    const py::object device = ask();
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
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    auto* managed = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
    TakeManaged(managed);
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor");
    dlpack_ = {managed, [](void* held) {
                 auto* m = static_cast<DLManagedTensor*>(held);
                 if (m->deleter) m->deleter(m);
               }};
    SetTensor(managed->dl_tensor);
  } else {
    RaiseParameterTypeError("logits must give a DLPack capsule, got something else from __dlpack__");
  }
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
