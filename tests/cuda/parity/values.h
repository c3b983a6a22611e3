// Rows of logits of every kind that has ever made a sampler wrong; what tests/contract/rows.py tries, at any length.
#pragma once

#include <cstdint>
#include <vector>

#include "nexttoken/views.h"
#include "random.h"

namespace nexttoken::parity {

struct ValueKind {
  const char* name;
  int share;  // how often, among the shares of all
  void (*make)(Random* random, float* z, int32_t vocab);
};

const std::vector<ValueKind>& ValueKinds();
const ValueKind& PickKind(Random* random);

// The row's items, dense, in `dtype`; `random` decides all of it. Some rows become neighbours in this dtype of one
// value: what ranks between them is one unit in the last place.
std::vector<char> MakeItems(const ValueKind& kind, DType dtype, int32_t vocab, Random* random);

}  // namespace nexttoken::parity
