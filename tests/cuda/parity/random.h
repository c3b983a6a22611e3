// Random numbers that are the same everywhere and cost little: each row of a test has its own stream.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace nexttoken::parity {

class Random {  // SplitMix64
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // A stream of its own for each (seed, a, b).
  static Random Of(uint64_t seed, uint64_t a, uint64_t b = 0) {
    Random outer(seed);
    Random inner(outer.Bits() + a * 0xD1342543DE82EF95u);
    return Random(inner.Bits() + b * 0xD1342543DE82EF95u);
  }

  uint64_t Bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  uint64_t Below(uint64_t end) { return static_cast<uint64_t>((static_cast<unsigned __int128>(Bits()) * end) >> 64); }
  int32_t Token(int32_t vocab) { return static_cast<int32_t>(Below(static_cast<uint64_t>(vocab))); }
  int64_t Between(int64_t first, int64_t last) {
    return first + static_cast<int64_t>(Below(static_cast<uint64_t>(last - first + 1)));
  }
  double Unit() { return static_cast<double>(Bits() >> 11) * 0x1p-53; }
  float Uniform(float low, float high) { return low + (high - low) * static_cast<float>(Bits() >> 40) * 0x1p-24f; }
  bool Chance(double probability) { return Unit() < probability; }

  // The sum of four uniforms, standardised: near enough to a normal number, without libm.
  float Normal() {
    const uint64_t bits = Bits();
    const auto sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    return (static_cast<float>(sum) - 131070.0f) * (1.7320508f / 65536.0f);
  }
  // Exponential tails on both sides.
  float Laplace() {
    const uint64_t bits = Bits();
    const float magnitude = -std::log((static_cast<float>(bits >> 40) + 0.5f) * 0x1p-24f);
    return bits & 1 ? magnitude : -magnitude;
  }

  template <class T, size_t kCount>
  const T& Pick(const T (&values)[kCount]) {
    return values[Below(kCount)];
  }

 private:
  uint64_t state_;
};

}  // namespace nexttoken::parity
