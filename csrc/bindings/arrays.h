// Logits from Python without a copy: NumPy arrays, anything with DLPack, anything with the buffer protocol.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "borrowed_tensor.h"
#include "nexttoken/views.h"

namespace nexttoken {

// Borrows the caller's memory and keeps it alive. Bound to Python as _core.Logits, so that the layers above can see the
// shape before they prepare parameters.
class LogitsArray {
 public:
  // [vocab] or [batch, vocab]; float32, float16 or bfloat16; any strides that are multiples of the item. Raises
  // ParameterTypeError or ParameterError naming what was expected and what came.
  LogitsArray(pybind11::handle source, Memory accepted);

  // Wherever it lies.
  const LogitsView& view() const { return view_; }
  // Raises ParameterTypeError for device memory.
  const LogitsView& host_view() const;
  bool is_one_row() const { return is_one_row_; }
  const DLDevice& device() const { return device_; }
  const BorrowedTensor& tensor() const { return tensor_; }

 private:
  bool TakeNumpy(pybind11::handle source);
  bool TakeBuffer(pybind11::handle source);
  // Strides in units of `stride_bytes` bytes.
  void SetShape(const void* data, DType dtype, int64_t dimensions, const int64_t* shape, const int64_t* strides,
                int64_t stride_bytes);
  void SetTensor(const DLTensor& tensor);

  LogitsView view_{};
  bool is_one_row_ = false;
  DLDevice device_{kDLCPU, 0};
  BorrowedTensor tensor_;
  pybind11::object owner_;  // a NumPy array or a buffer
};

}  // namespace nexttoken
