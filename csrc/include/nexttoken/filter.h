// Steps 9 to 12 of the sampling contract: thresholds, ranks and the draw's target, all as integers.
#pragma once

#include <cstdint>
#include <cstring>

#include "nexttoken/host_device.h"
#include "nexttoken/views.h"
#include "nexttoken/weight.h"

namespace nexttoken {

// Order of float32 as order of unsigned integers. z is Canonical (no -0.0) and not NaN.
NEXTTOKEN_HD uint32_t OrderKey(float z) {
  const uint32_t bits = BitsOfFloat(z);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// The float whose OrderKey is `key`.
NEXTTOKEN_HD float FloatOfKey(uint32_t key) {
  return FloatFromBits(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

// fraction * mass rounded up, exactly: fraction in [0, 1] is 53 bits times a power of two, mass is below 2^62.
NEXTTOKEN_HD uint64_t CeilOfProduct(double fraction, uint64_t mass) {
  uint64_t bits;
  memcpy(&bits, &fraction, sizeof bits);
  const int biased = static_cast<int>(bits >> 52) & 0x7ff;  // without the sign: -0.0 is 0
  const uint64_t mantissa = (bits & 0xfffffffffffffu) | (biased ? uint64_t{1} << 52 : 0);
  const int shift = 1075 - (biased ? biased : 1);  // fraction = mantissa * 2^-shift; shift >= 52
  const unsigned __int128 product = static_cast<unsigned __int128>(mantissa) * mass;  // below 2^115
  if (shift >= 116) return product != 0;
  const unsigned __int128 round_up = (static_cast<unsigned __int128>(1) << shift) - 1;
  return static_cast<uint64_t>((product + round_up) >> shift);
}

// min_p: weights below this are dropped. At least 1: a token of weight 0 is never kept.
NEXTTOKEN_HD uint64_t MinWeight(double min_p) {
  const uint64_t threshold = CeilOfProduct(min_p, kMaxWeight);
  return threshold ? threshold : 1;
}

// top_p: the mass that the shortest prefix in rank order must reach.
NEXTTOKEN_HD uint64_t NeededMass(double top_p, uint64_t mass) {
  const uint64_t need = CeilOfProduct(top_p, mass);
  return need ? need : 1;
}

// floor(bits * mass / 2^64): the running sum that the drawn token is the first to exceed.
NEXTTOKEN_HD uint64_t DrawTarget(uint64_t bits, uint64_t mass) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(bits) * mass) >> 64);
}

// The last token that is kept, in rank order (logit descending, id ascending).
struct Cut {
  uint32_t key;
  int32_t token;

  NEXTTOKEN_HD bool Keeps(uint32_t other_key, int32_t other_token) const {
    return other_key > key || (other_key == key && other_token <= token);
  }
};

}  // namespace nexttoken
