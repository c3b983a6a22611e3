// An array's memory by DLPack, without a copy, on the host or on a CUDA device.
#pragma once

#include <dlpack/dlpack.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace nexttoken {

// Which memory a tensor may be in.
enum class Memory { kHost, kHostOrCuda, kCuda };

bool IsCuda(const DLDevice& device);

// "float32", as NumPy says it; "DLPack type code 12 of 8 bits" for what DLPack numbers and we do not name.
std::string NameOf(const DLDataType& type);

// Keeps the memory alive, and gives it back when it goes.
class BorrowedTensor {
 public:
  // `name` is the argument's, for errors; it must outlive the tensor.
  BorrowedTensor(const char* name, Memory accepted) : name_(name), accepted_(accepted) {}

  // By DLPack's table of C functions where the type has one, else by `__dlpack__`. False where it has neither.
  //
  // Nothing waits. In device memory it is the caller who orders its work after the producer's, by queueing it on the
  // producer's stream; unless `stream` is given: then the producer makes that stream wait for its own.
  //
  // Raises ParameterTypeError for memory that is not accepted, and what the producer raises.
  bool Take(pybind11::handle source, std::optional<int64_t> stream = std::nullopt);

  const DLTensor& tensor() const { return *tensor_; }

  // The stream on which the producer queues its work now; none where its type has no C functions to ask.
  std::optional<int64_t> CurrentStream() const;

 private:
  bool TakeExchange(pybind11::handle source);
  bool TakeDlpack(pybind11::handle given, std::optional<int64_t> stream);
  // Owns `managed` whatever comes.
  void Hold(DLManagedTensorVersioned* managed);
  void CheckDevice(int device_type) const;
  bool CheckNegativeBit(pybind11::handle source) const;

  const char* name_;
  Memory accepted_;
  const DLPackExchangeAPI* api_ = nullptr;
  const DLTensor* tensor_ = nullptr;
  pybind11::object storage_;                                          // of torch: the memory itself
  std::unique_ptr<void, void (*)(void*)> managed_{nullptr, nullptr};  // calls the producer's deleter
};

}  // namespace nexttoken
