// Counter-based random bits: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). The draw is a function of where it stands, not of how many draws came before it.
#pragma once

#include <cstdint>

#include "nexttoken/host_device.h"

namespace nexttoken {

struct Philox4x32 {
  uint32_t word[4];
};

// What a uniform is for. Each purpose has counters of its own, so two uses of a seed never share bits.
enum class Purpose : uint32_t { kDraw = 0 };

NEXTTOKEN_HD Philox4x32 Philox(uint64_t key, Philox4x32 counter) {
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
  Philox4x32 x = counter;
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * x.word[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * x.word[2];
    x = {{static_cast<uint32_t>(b >> 32) ^ x.word[1] ^ k0, static_cast<uint32_t>(b),
          static_cast<uint32_t>(a >> 32) ^ x.word[3] ^ k1, static_cast<uint32_t>(a)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return x;
}

// The uniform 64 bits of the draw at (seed, sequence_index, step).
NEXTTOKEN_HD uint64_t DrawBits(uint64_t seed, uint32_t sequence_index, uint64_t step) {
  const Philox4x32 x = Philox(seed, {{static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32), sequence_index,
                                      static_cast<uint32_t>(Purpose::kDraw)}});
  return uint64_t{x.word[0]} | uint64_t{x.word[1]} << 32;
}

}  // namespace nexttoken
