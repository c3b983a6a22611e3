// Logits from Python without a copy: NumPy arrays, anything with DLPack, anything with the buffer protocol.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <vector>

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
  bool TakeDlpack(pybind11::handle source);
  bool TakeBuffer(pybind11::handle source);
  // Strides in elements.
  void SetShape(const void* data, DType dtype, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides);

  LogitsView view_{};
  bool is_one_row_ = false;
  pybind11::object owner_;        // a NumPy array or a buffer
  std::shared_ptr<void> dlpack_;  // calls the producer's deleter
};

// Raise an exception of nexttoken.exceptions.
[[noreturn]] void RaiseParameterError(const std::string& message);
[[noreturn]] void RaiseParameterTypeError(const std::string& message);

}  // namespace nexttoken
