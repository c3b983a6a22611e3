#include "device_batch.h"

#include <algorithm>
#include <type_traits>

#include "float_environment.h"

namespace nexttoken {
namespace {

// What the strictest of the values needs, and a device likes to read.
constexpr size_t kAlignment = 16;

template <class T>
constexpr Integers::Type TypeOf() {
  return std::is_signed_v<T> ? Integers::Type::kInt64 : Integers::Type::kUInt64;
}

Integers::Type TypeOf(const std::string& dtype) {
  if (dtype == "int32") return Integers::Type::kInt32;
  return dtype == "int64" ? Integers::Type::kInt64 : Integers::Type::kUInt64;
}

const void* Pointer(uintptr_t address) {
  return reinterpret_cast<const void*>(address);
}

}  // namespace

size_t DeviceBatch::Append(const void* values, size_t bytes) {
  const size_t start = (block_.size() + kAlignment - 1) / kAlignment * kAlignment;
  block_.resize(start);
  const char* const begin = static_cast<const char*>(values);
  block_.insert(block_.end(), begin, begin + bytes);
  return start;
}

template <class P, class T>
void DeviceBatch::Add(const P** where, const T* values, size_t count) {
  const size_t start = Append(values, count * sizeof(T));
  pointers_.push_back(
      [where, start](const char* base) { *where = static_cast<const P*>(static_cast<const void*>(base + start)); });
}

void DeviceBatch::SetSeeds(const UnsignedArgument& argument) {
  if (const auto* const seeds = std::get_if<Array<uint64_t>>(&argument); seeds && seeds->size() > 0) {
    input_.seed = {nullptr, 1, Integers::Type::kUInt64, 0};
    Add(&input_.seed.data, seeds->data(), static_cast<size_t>(seeds->size()));
  } else {
    Set(&input_.seed, argument);
  }
}

void DeviceBatch::Set(Reals* where, const RealArgument& argument) {
  if (const auto* const device = std::get_if<OnDevice>(&argument)) {
    const auto& [address, stride, dtype] = *device;
    where->data = Pointer(address);
    where->stride = stride;
    where->is_float64 = dtype == "float64";
    return;
  }
  const auto& values = std::get<Array<double>>(argument);
  if (values.size() == 1) {
    where->value = values.data()[0];
  } else if (values.size() > 0) {
    where->is_float64 = true;
    where->stride = 1;
    Add(&where->data, values.data(), static_cast<size_t>(values.size()));
  }
}

template <class T>
void DeviceBatch::Set(Integers* where, const std::variant<OnDevice, Array<T>>& argument) {
  if (const auto* const device = std::get_if<OnDevice>(&argument)) {
    const auto& [address, stride, dtype] = *device;
    where->data = Pointer(address);
    where->stride = stride;
    where->type = TypeOf(dtype);
    return;
  }
  const auto& values = std::get<Array<T>>(argument);
  where->type = TypeOf<T>();
  if (values.size() == 1) {
    where->value = static_cast<uint64_t>(values.data()[0]);
  } else if (values.size() > 0) {
    where->stride = 1;
    Add(&where->data, values.data(), static_cast<size_t>(values.size()));
  }
}

template void DeviceBatch::Set(Integers*, const std::variant<OnDevice, Array<int64_t>>&);
template void DeviceBatch::Set(Integers*, const std::variant<OnDevice, Array<uint64_t>>&);

void DeviceBatch::SetBitmask(const BitmaskArgument& argument) {
  if (const auto* const device = std::get_if<OnDevice>(&argument)) {
    input_.token_bitmask = static_cast<const int32_t*>(Pointer(std::get<0>(*device)));
    input_.token_bitmask_stride = std::get<1>(*device);
    return;
  }
  const auto& words = std::get<Array<int32_t>>(argument);
  input_.token_bitmask_stride = words.shape(0) == 1 ? 0 : words.shape(1);
  Add(&input_.token_bitmask, words.data(), static_cast<size_t>(words.size()));
}

void DeviceBatch::SetBias(const Array<int32_t>& tokens, const Array<double>& values, const Array<int64_t>& offsets) {
  if (tokens.size() == 0) return;
  std::vector<float> rounded;
  {
    const FloatEnvironment environment;
    for (pybind11::ssize_t i = 0; i < values.size(); ++i) rounded.push_back(static_cast<float>(values.data()[i]));
  }
  const HostLists lists{offsets};
  const size_t ends = static_cast<size_t>(offsets.size()) - 1;
  input_.bias.stride = lists.is_one() ? 0 : 1;
  Add(&input_.bias.begin, offsets.data(), ends);
  Add(&input_.bias.end, offsets.data() + 1, ends);
  Add(&input_.bias_tokens, tokens.data(), rounded.size());
  Add(&input_.bias_values, rounded.data(), rounded.size());
}

bool DeviceBatch::MayHavePenalties() const {
  const auto off = [](const Reals& penalty, double value) {
    return !penalty.data && penalty.stride == 0 && penalty.value == value;  // one value for all, given by the host
  };
  return !(off(input_.presence_penalty, 0.0) && off(input_.frequency_penalty, 0.0) &&
           off(input_.repetition_penalty, 1.0));
}

void DeviceBatch::SetHistory(const Array<int32_t>& prompt_tokens, const Array<int64_t>& prompt_offsets,
                             const Array<int32_t>& output_tokens, const Array<int64_t>& output_offsets) {
  if (!MayHavePenalties()) return;
  const HostLists prompts{prompt_offsets};
  const HostLists outputs{output_offsets};
  const int64_t lists = prompts.is_one() && outputs.is_one() ? 1 : rows();
  std::vector<HistoryEntry> entries;
  std::vector<int64_t> offsets{0};
  History history;
  for (int64_t row = 0; row < lists; ++row) {
    history.Clear();
    Count(row, prompts, prompt_tokens, outputs, output_tokens, &history);
    const std::vector<HistoryEntry>& counted = history.entries();
    entries.insert(entries.end(), counted.begin(), counted.end());
    input_.longest_history = std::max(input_.longest_history, static_cast<int64_t>(counted.size()));
    offsets.push_back(static_cast<int64_t>(entries.size()));
  }
  if (entries.empty()) return;
  input_.history.stride = lists == 1 ? 0 : 1;
  Add(&input_.history.begin, offsets.data(), static_cast<size_t>(lists));
  Add(&input_.history.end, offsets.data() + 1, static_cast<size_t>(lists));
  Add(&input_.history_entries, entries.data(), entries.size());
}

void DeviceBatch::SetTokens(TokenMatrix* where, const TokensOnDevice& tokens) {
  const auto& [address, row_stride, length, dtype] = tokens;
  if (length > 0 && MayHavePenalties()) *where = {Pointer(address), row_stride, length, dtype == "int64"};
}

void DeviceBatch::Place(void* address) {
  place_ = address;
  for (const auto& set : pointers_) set(static_cast<const char*>(address));
}

int DeviceBatch::Upload(void* stream) const {
  return block_.empty() ? 0 : UploadToDevice(place_, block_.data(), block_.size(), stream);
}

}  // namespace nexttoken
