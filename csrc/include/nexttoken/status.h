// What happened to a row. A bad row never harms its neighbours: it gets a status and token -1.
#pragma once

#include <cstdint>

namespace nexttoken {

enum class Status : int32_t {
  kOk = 0,
  // A NaN among the row's logits, masked or not, or made from them by bias and penalties (inf - inf).
  kNanLogits = 1,
  // Every token is at -inf: nothing can be drawn.
  kNoToken = 2,
  // A parameter that lies in device memory, where it cannot be checked beforehand, is out of range.
  kBadParameter = 3,
};

// The token id of a row that has none.
constexpr int32_t kNoTokenId = -1;

}  // namespace nexttoken
