// The parameters of a batch in device memory, gathered for the kernels.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "host_lists.h"
#include "nexttoken/sample_batch.h"

namespace nexttoken {

// Where a parameter lies in device memory, as cuda.py found it: address, elements from a row's to the next's (0: one
// for all rows), dtype by NumPy's name.
using OnDevice = std::tuple<uintptr_t, int64_t, std::string>;
// Token ids in device memory: address, elements from a row to the next (0: one for all rows), length, dtype.
using TokensOnDevice = std::tuple<uintptr_t, int64_t, int64_t, std::string>;

// On the host: one value (size 1) or one per row, checked.
using RealArgument = std::variant<OnDevice, Array<double>>;
using IntegerArgument = std::variant<OnDevice, Array<int64_t>>;
using UnsignedArgument = std::variant<OnDevice, Array<uint64_t>>;
using BitmaskArgument = std::variant<OnDevice, Array<int32_t>>;  // [1 or batch, words]

// One value for all rows is passed to the kernels as it is. All else that the host has is gathered into one block,
// which goes to the device by one copy.
class DeviceBatch {
 public:
  explicit DeviceBatch(const LogitsView& logits) { input_.logits = logits; }
  DeviceBatch(const DeviceBatch&) = delete;
  DeviceBatch& operator=(const DeviceBatch&) = delete;

  // Which of BatchInput's members is meant is said by its address in `input()`.
  BatchInput& input() { return input_; }
  int64_t rows() const { return input_.logits.batch_size; }

  // The host's lie at the beginning of the block, for the caller to have: so this comes first.
  void SetSeeds(const UnsignedArgument& value);
  void Set(Reals* where, const RealArgument& value);
  template <class T>
  void Set(Integers* where, const std::variant<OnDevice, Array<T>>& value);
  void SetBitmask(const BitmaskArgument& value);
  void SetBias(const Array<int32_t>& tokens, const Array<double>& values, const Array<int64_t>& offsets);
  // After the penalties. Counted on the host, if any row may have penalties.
  void SetHistory(const Array<int32_t>& prompt_tokens, const Array<int64_t>& prompt_offsets,
                  const Array<int32_t>& output_tokens, const Array<int64_t>& output_offsets);
  // After the penalties. Counted on the device.
  void SetTokens(TokenMatrix* where, const TokensOnDevice& tokens);

  size_t block_bytes() const { return block_.size(); }
  // The block's place on the device: block_bytes() from `address` on. From here on the input is complete.
  void Place(void* address);
  // Queues the copy of the block. Returns 0 or a cudaError_t.
  int Upload(void* stream) const;

 private:
  // Adds to the block, and says where in it.
  size_t Append(const void* values, size_t bytes);
  // Adds to the block; `*where` points to the values once they are on the device.
  template <class P, class T>
  void Add(const P** where, const T* values, size_t count);
  // What the device alone knows counts as one. Penalties are set first.
  bool MayHavePenalties() const;

  BatchInput input_;
  std::vector<char> block_;
  void* place_ = nullptr;
  std::vector<std::function<void(const char* base)>> pointers_;  // what sets each
};

}  // namespace nexttoken
