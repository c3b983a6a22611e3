// Logits from Python without a copy: NumPy arrays, anything with DLPack, anything with the buffer protocol.
#pragma once

#include <dlpack/dlpack.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "nexttoken/views.h"

namespace nexttoken {

// Borrows the caller's memory and keeps it alive. Bound to Python as _core.Logits, so that the layers above can see the
// shape before they prepare parameters.
class LogitsArray {
 public:
  // [vocab] or [batch, vocab]; float32, float16 or bfloat16; any strides that are multiples of the item; host memory.
  // Raises ParameterTypeError or ParameterError naming what was expected and what came.
  explicit LogitsArray(pybind11::handle source);

  const LogitsView& view() const { return view_; }
  bool is_one_row() const { return is_one_row_; }

 private:
  bool TakeNumpy(pybind11::handle source);
  bool TakeExchange(pybind11::handle source);
  bool TakeDlpack(pybind11::handle given);
  bool TakeBuffer(pybind11::handle source);
  // Strides in units of `stride_bytes` bytes.
  void SetShape(const void* data, DType dtype, int64_t dimensions, const int64_t* shape, const int64_t* strides,
                int64_t stride_bytes);
  void SetTensor(const DLTensor& tensor);
  // Owns `managed` whatever comes.
  void TakeManaged(DLManagedTensorVersioned* managed);

  LogitsView view_{};
  bool is_one_row_ = false;
  pybind11::object owner_;                                           // a NumPy array, a torch storage or a buffer
  std::unique_ptr<void, void (*)(void*)> dlpack_{nullptr, nullptr};  // calls the producer's deleter
};

// Raise an exception of nexttoken.exceptions.
[[noreturn]] void RaiseParameterError(const std::string& message);
[[noreturn]] void RaiseParameterTypeError(const std::string& message);

}  // namespace nexttoken
