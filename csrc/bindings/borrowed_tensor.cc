#include "borrowed_tensor.h"

#include "errors.h"

namespace py = pybind11;

namespace nexttoken {
namespace {

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

// A capsule from `__dlpack__`. `stream` is said to producers of device memory alone: what lives on the host need not
// know the word.
py::object Export(py::handle source, bool on_device, int64_t stream) {
  py::dict keywords;
  if (on_device) keywords["stream"] = stream;
  keywords["max_version"] = py::make_tuple(DLPACK_MAJOR_VERSION, 0);
  try {
    return source.attr("__dlpack__")(**keywords);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;
  }
  PyDict_DelItemString(keywords.ptr(), "max_version");  // a producer from before DLPack 1.0
  return source.attr("__dlpack__")(**keywords);
}

}  // namespace

bool IsCuda(const DLDevice& device) {
  return device.device_type == kDLCUDA || device.device_type == kDLCUDAManaged;
}

std::string NameOf(const DLDataType& type) {
  static const char* const kNames[] = {"int", "uint", "float", "handle", "bfloat", "complex", "bool"};
  const std::string bits = std::to_string(type.bits);
  if (type.code < 7) return kNames[type.code] + bits;
  return "DLPack type code " + std::to_string(type.code) + " of " + bits + " bits";
}

void BorrowedTensor::CheckDevice(int device_type) const {
  const bool host = device_type == kDLCPU || device_type == kDLCUDAHost;
  const bool cuda = device_type == kDLCUDA || device_type == kDLCUDAManaged;
  if ((host && accepted_ != Memory::kCuda) || (cuda && accepted_ != Memory::kHost)) return;
  static const char* const kAccepted[] = {"host memory", "host or CUDA memory", "CUDA memory"};
  RaiseParameterTypeError(std::string(name_) + " must be in " + kAccepted[static_cast<int>(accepted_)] +
                          ", got DLPack device type " + std::to_string(device_type));
}

// torch negates the imaginary part of a conjugate when it is read, by a bit of the tensor that DLPack does not know:
// the memory holds the wrong sign. False for what is no tensor of torch.
bool BorrowedTensor::CheckNegativeBit(py::handle source) const {
  static PyObject* const kIsNeg = Interned("is_neg");
  const auto negative = py::reinterpret_steal<py::object>(PyObject_CallMethodNoArgs(source.ptr(), kIsNeg));
  if (!negative) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
    PyErr_Clear();
    return false;
  }
  if (negative.is(py::handle(Py_True))) {
    RaiseParameterTypeError(std::string(name_) +
                            " must hold the values themselves, got a tensor with the negative bit set (its "
                            "resolve_neg() holds them)");
  }
  return true;
}

bool BorrowedTensor::Take(py::handle source, std::optional<int64_t> stream) {
  // The C functions never order streams: only `__dlpack__` does.
  return (!stream && TakeExchange(source)) || TakeDlpack(source, stream);
}

std::optional<int64_t> BorrowedTensor::CurrentStream() const {
  if (!api_ || !api_->current_work_stream) return std::nullopt;
  void* stream = nullptr;
  const DLDevice& device = tensor_->device;
  if (api_->current_work_stream(device.device_type, device.device_id, &stream) != 0) {
    ForgetError();
    return std::nullopt;
  }
  return static_cast<int64_t>(reinterpret_cast<intptr_t>(stream));
}

void BorrowedTensor::Hold(DLManagedTensorVersioned* managed) {
  managed_ = {managed, [](void* held) {
                auto* m = static_cast<DLManagedTensorVersioned*>(held);
                if (m->deleter) m->deleter(m);
              }};
  if (managed->version.major != DLPACK_MAJOR_VERSION) {
    RaiseParameterTypeError(std::string(name_) + " must come by DLPack 1.x, got version " +
                            std::to_string(managed->version.major));
  }
  tensor_ = &managed->dl_tensor;
  CheckDevice(tensor_->device.device_type);
}

// Much quicker than __dlpack__ of a torch tensor. Whatever it does not do, __dlpack__ is asked for, and says what is
// wrong.
//
// The memory must outlive Python code that runs before it is read (the entries of rows may be any objects) and, while
// it is read, other threads. Hence the export that owns, not the quicker one that lends until control returns. From
// torch even that owns the tensor only, and `x.set_(y)` or `x.data = y` gives a tensor other memory and lets go of the
// old: so the storage, which is the memory, is held too. What resizes a storage takes the memory away all the same.
bool BorrowedTensor::TakeExchange(py::handle source) {
  static PyObject* const kTable = Interned("__dlpack_c_exchange_api__");
  static PyObject* const kStorage = Interned("untyped_storage");
  const py::object capsule = Find(reinterpret_cast<PyObject*>(Py_TYPE(source.ptr())), kTable);
  if (!capsule || !PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return false;
  auto* api = static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  if (api->header.version.major != DLPACK_MAJOR_VERSION || !api->managed_tensor_from_py_object_no_sync) return false;
  if (CheckNegativeBit(source)) {
    // Right before the export: no other thread can come in between.
    storage_ = py::reinterpret_steal<py::object>(PyObject_CallMethodNoArgs(source.ptr(), kStorage));
    if (!storage_) {  // sparse, for one
      ForgetError();
      return false;
    }
  }
  DLManagedTensorVersioned* managed = nullptr;
  if (api->managed_tensor_from_py_object_no_sync(source.ptr(), &managed) != 0 || !managed) {
    ForgetError();
    storage_ = {};
    return false;
  }
  api_ = api;
  Hold(managed);
  return true;
}

bool BorrowedTensor::TakeDlpack(py::handle given, std::optional<int64_t> stream) {
  static PyObject* const kDlpack = Interned("__dlpack__");
  static PyObject* const kDevice = Interned("__dlpack_device__");
  if (!Find(given, kDlpack)) return false;
  auto source = py::reinterpret_borrow<py::object>(given);
  // torch exports no tensor that requires a gradient, which reading does not need; and a tensor of our own keeps its
  // storage, see TakeExchange.
  if (CheckNegativeBit(source)) source = source.attr("detach")();
  // Asked first, because exporting from a device may wait for it; looked at again below, because not all can be asked.
  bool on_device = false;
  if (const py::object ask = Find(source, kDevice)) {
    const py::object device = ask();
    if (!py::isinstance<py::tuple>(device) || py::len(device) != 2) {
      RaiseParameterTypeError(std::string(name_) + " must give a device type and id from __dlpack_device__, got " +
                              py::repr(device).cast<std::string>());
    }
    const int type = py::int_(device[py::int_(0)]).cast<int>();
    CheckDevice(type);
    on_device = IsCuda({static_cast<DLDeviceType>(type), 0});
  }
  constexpr int64_t kNoOrder = -1;
  const py::object capsule = Export(source, on_device, stream.value_or(kNoOrder));
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    auto* managed = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
    Hold(managed);
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor");
    managed_ = {managed, [](void* held) {
                  auto* m = static_cast<DLManagedTensor*>(held);
                  if (m->deleter) m->deleter(m);
                }};
    tensor_ = &managed->dl_tensor;
    CheckDevice(tensor_->device.device_type);
  } else {
    RaiseParameterTypeError(std::string(name_) + " must give a DLPack capsule, got something else from __dlpack__");
  }
  return true;
}

}  // namespace nexttoken
