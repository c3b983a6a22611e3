// Values of a batch as Python hands them over in NumPy arrays: one for all rows, or one per row.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>

#include "nexttoken/history.h"

namespace nexttoken {

template <class T>
using Array = pybind11::array_t<T, pybind11::array::c_style | pybind11::array::forcecast>;

// One value for all rows (size 1) or one per row.
template <class T>
T At(const Array<T>& values, int64_t row) {
  return values.data()[values.size() == 1 ? 0 : row];
}

// Lists of different lengths, one after the other: list i is values[offsets[i], offsets[i + 1]). One list serves all
// rows.
struct HostLists {
  bool is_one() const { return offsets.size() == 2; }
  int64_t Begin(int64_t row) const { return offsets.data()[is_one() ? 0 : row]; }
  int64_t End(int64_t row) const { return offsets.data()[is_one() ? 1 : row + 1]; }
  Array<int64_t> offsets;
};

// What a row has read and said.
inline void Count(int64_t row, const HostLists& prompts, const Array<int32_t>& prompt_tokens, const HostLists& outputs,
                  const Array<int32_t>& output_tokens, History* history) {
  for (int64_t i = prompts.Begin(row); i < prompts.End(row); ++i) history->AddPrompt(prompt_tokens.data()[i]);
  for (int64_t i = outputs.Begin(row); i < outputs.End(row); ++i) history->AddOutput(output_tokens.data()[i]);
}

}  // namespace nexttoken
