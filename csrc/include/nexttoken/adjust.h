// Steps 2 to 6 of the sampling contract: what bitmask, bias and penalties do to one logit.
//
// Each line is one IEEE float32 operation per rounding, in this order: bitmask, bias, repetition, frequency, presence.
// Compile without contraction.
#pragma once

#include <cstdint>

#include "nexttoken/host_device.h"
#include "nexttoken/views.h"

namespace nexttoken {

constexpr float kNegativeInfinity = -__builtin_huge_valf();

// Bit 1 = allowed; bit i % 32 of word i / 32 (the layout of xgrammar and llguidance).
NEXTTOKEN_HD bool IsAllowed(const int32_t* bitmask, int32_t token) {
  return (static_cast<uint32_t>(bitmask[token >> 5]) >> (token & 31)) & 1u;
}

// A bias of -inf is a ban, whatever the logit (+inf included).
NEXTTOKEN_HD float AddBias(float z, float bias) {
  return bias == kNegativeInfinity ? kNegativeInfinity : z + bias;
}

NEXTTOKEN_HD float PenalizeRepetition(float z, float penalty) {
  return z > 0.0f ? z / penalty : z * penalty;
}

// Two roundings: the product, then the difference. float32(count) is the nearest float to the integer.
NEXTTOKEN_HD float PenalizeFrequency(float z, uint32_t count, float penalty) {
  const float product = static_cast<float>(count) * penalty;
  return z - product;
}

NEXTTOKEN_HD float PenalizePresence(float z, uint32_t count, float penalty) {
  return count > 0 ? z - penalty : z;
}

// -0.0 and +0.0 are one value from here on, also as a sort key.
NEXTTOKEN_HD float Canonical(float z) {
  return z + 0.0f;
}

}  // namespace nexttoken
