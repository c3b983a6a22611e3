#include "arrays.h"

#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings.h"
#include "device_array.h"
#include "errors.h"

namespace py = pybind11;

namespace nexttoken {
namespace {

constexpr char kExpected[] = "logits must be float32, float16 or bfloat16, got ";

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

// ctypes, and what numpy.ctypeslib makes of its pointers, say "<" where NumPy itself says "=".
bool IsNative(char byte_order) {
  const uint16_t one = 1;
  const bool is_little = *reinterpret_cast<const unsigned char*>(&one) == 1;
  return byte_order == '=' || byte_order == (is_little ? '<' : '>');
}

}  // namespace

LogitsArray::LogitsArray(py::handle source, Memory accepted) : tensor_("logits", accepted) {
  if (TakeNumpy(source)) return;
  if (tensor_.Take(source)) {
    SetTensor(tensor_.tensor());
    return;
  }
  if (TakeBuffer(source)) return;
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
  DType dtype;
  if (!DtypeOfDlpack(tensor.dtype, &dtype)) RaiseParameterTypeError(kExpected + NameOf(tensor.dtype));
  // Null: rows one after the other.
  const int64_t dense[2] = {tensor.ndim == 2 ? tensor.shape[1] : 1, 1};
  SetShape(static_cast<const char*>(tensor.data) + tensor.byte_offset, dtype, tensor.ndim, tensor.shape,
           tensor.strides ? tensor.strides : dense, ItemSize(dtype));
  if (!tensor.data && view_.batch_size > 0) {  // torch has tensors that only stand for one
    RaiseParameterTypeError("logits must have memory to read, got a tensor without");
  }
  device_ = tensor.device;
  if (IsCuda(device_) && reinterpret_cast<uintptr_t>(view_.data) % static_cast<uintptr_t>(ItemSize(dtype))) {
    RaiseParameterError("logits in CUDA memory must begin at a multiple of the item size, got one between");
  }
}

const LogitsView& LogitsArray::host_view() const {
  if (IsCuda(device_)) {
    RaiseParameterTypeError("logits must be in host memory, got cuda:" + std::to_string(device_.device_id));
  }
  return view_;
}

bool LogitsArray::TakeNumpy(py::handle source) {
  if (!py::isinstance<py::array>(source)) return false;
  const auto array = py::reinterpret_borrow<py::array>(source);
  // Of a subclass of ndarray: numpy.ma, whose mask would be passed over.
  if (Py_TYPE(source.ptr())->tp_base != &PyBaseObject_Type && py::hasattr(source, "mask")) {
    RaiseParameterTypeError("logits must be a plain array, got a masked one");
  }
  const py::dtype type = array.dtype();
  DType dtype;
  if (type.kind() == 'f' && type.itemsize() == 4 && IsNative(type.byteorder())) {
    dtype = DType::kFloat32;
  } else if (type.kind() == 'f' && type.itemsize() == 2 && IsNative(type.byteorder())) {
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

bool LogitsArray::TakeBuffer(py::handle source) {
  if (!PyObject_CheckBuffer(source.ptr())) return false;
  const auto view = std::make_shared<py::buffer_info>(py::reinterpret_borrow<py::buffer>(source).request());
  DType dtype;
  const std::string kind =
      view->format.size() == 2 && IsNative(view->format[0]) ? view->format.substr(1) : view->format;
  if (kind == "f")
    dtype = DType::kFloat32;
  else if (kind == "e")
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

using Integers = py::typing::Tuple<py::int_, py::ellipsis>;
// As _cuda.Batch takes it.
using Layout = py::typing::Tuple<py::int_, py::int_, py::int_, py::int_, py::int_, py::int_>;

void BindArrays(py::module_& module) {
  py::class_<LogitsArray>(module, "Logits", "A borrowed view of a caller's logits: [batch_size, vocab_size].")
      .def(py::init([](py::handle logits) { return LogitsArray(logits, Memory::kHostOrCuda); }), py::arg("logits"))
      .def_property_readonly("batch_size", [](const LogitsArray& l) { return l.view().batch_size; })
      .def_property_readonly("vocab_size", [](const LogitsArray& l) { return l.view().vocab_size; })
      .def_property_readonly("is_one_row", &LogitsArray::is_one_row)
      .def_property_readonly(
          "cuda_device",
          [](const LogitsArray& l) {
            return IsCuda(l.device()) ? std::optional<int>(l.device().device_id) : std::nullopt;
          },
          "The CUDA device that holds them, or None in host memory.")
      .def_property_readonly(
          "layout",
          [](const LogitsArray& l) -> Layout {
            const LogitsView& v = l.view();
            return py::make_tuple(reinterpret_cast<uintptr_t>(v.data), v.batch_size, v.vocab_size, v.row_stride,
                                  v.element_stride, static_cast<int>(v.dtype));
          },
          "address, batch_size, vocab_size, row_stride, element_stride, dtype")
      .def(
          "current_stream", [](const LogitsArray& l) { return l.tensor().CurrentStream(); },
          "The stream their library queues work on now; None where it cannot be asked through DLPack.");
  py::class_<DeviceArray>(module, "DeviceArray", "Where a parameter's array in device memory lies. Nothing is read.")
      .def(py::init<std::string, py::handle, std::optional<int64_t>>(), py::arg("name"), py::arg("source"),
           py::arg("stream"), "stream: made to wait for the producer's; None orders nothing.")
      .def_property_readonly("address", &DeviceArray::address)
      .def_property_readonly("device", &DeviceArray::device)
      .def_property_readonly("dtype", &DeviceArray::dtype)
      .def_property_readonly("shape", [](const DeviceArray& a) -> Integers { return py::tuple(py::cast(a.shape())); })
      .def_property_readonly("strides",
                             [](const DeviceArray& a) -> Integers { return py::tuple(py::cast(a.strides())); });
}

}  // namespace nexttoken
