#include "values.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace nexttoken::parity {
namespace {

constexpr float kInfinity = HUGE_VALF;
constexpr float kMax = 3.4028234663852886e38f;

void Normal(Random* random, float* z, int32_t vocab) {
  constexpr float kScales[] = {0.1f, 1.0f, 1.0f, 4.0f, 20.0f};
  const float scale = random->Pick(kScales);
  for (int32_t i = 0; i < vocab; ++i) z[i] = random->Normal() * scale;
}

void Peaked(Random* random, float* z, int32_t vocab) {
  Normal(random, z, vocab);
  z[random->Token(vocab)] += random->Uniform(5, 60);
}

// A confident model's row: the nucleus is tens of tokens. Below a scale of the temperature it is thousands.
void Confident(Random* random, float* z, int32_t vocab) {
  for (int32_t i = 0; i < vocab; ++i) z[i] = 1.25f * random->Laplace();
}

void Undecided(Random* random, float* z, int32_t vocab) {
  const float scale = random->Uniform(0.6f, 1.05f);
  for (int32_t i = 0; i < vocab; ++i) z[i] = scale * random->Laplace();
}

void Flat(Random* random, float* z, int32_t vocab) {
  constexpr float kLevels[] = {0.0f, -0.0f, 1.0f, -7.25f, 3e38f, -3e38f};
  std::fill_n(z, vocab, random->Pick(kLevels));
}

// Flat but for one token, wherever a seam may be: the first, the last, beside a multiple of a power of two.
void AlmostFlat(Random* random, float* z, int32_t vocab) {
  Flat(random, z, vocab);
  const int64_t seam = random->Between(0, vocab) & ~(int64_t{32} << random->Below(10)) & ~int64_t{31};
  const int64_t places[] = {0, vocab - 1, seam - 1, seam, seam + 1};
  const auto place = std::clamp<int64_t>(random->Pick(places), 0, vocab - 1);
  constexpr float kOthers[] = {0.5f, -0.5f, 20.0f, -kInfinity, kInfinity};
  z[place] = random->Pick(kOthers);
}

void Ties(Random* random, float* z, int32_t vocab) {
  constexpr float kSteps[] = {0.5f, 1.0f, 3.0f, 0.0078125f};
  const float step = random->Pick(kSteps);
  for (int32_t i = 0; i < vocab; ++i) z[i] = static_cast<float>(random->Between(-3, 3)) * step;
}

// One token holds 40 to 60 per cent, the others share the rest equally.
void Dominant(Random* random, float* z, int32_t vocab) {
  std::fill_n(z, vocab, 0.0f);
  const double share = 0.4 + 0.2 * random->Unit();
  z[random->Token(vocab)] = static_cast<float>(std::log(std::max(vocab - 1, 1) * share / (1 - share)));
}

void AllButOne(Random* random, float* z, int32_t vocab) {
  std::fill_n(z, vocab, -kInfinity);
  constexpr float kLeft[] = {0.0f, -0.0f, 5.0f, -3e38f, 3e38f, kInfinity};
  z[random->Token(vocab)] = random->Pick(kLeft);
}

void AllBanned(Random*, float* z, int32_t vocab) {
  std::fill_n(z, vocab, -kInfinity);
}

void AllNan(Random*, float* z, int32_t vocab) {
  std::fill_n(z, vocab, NAN);
}

void Some(Random* random, float* z, int32_t vocab, float value) {
  Normal(random, z, vocab);
  for (int i = static_cast<int>(random->Between(1, 3)); i > 0; --i) z[random->Token(vocab)] = value;
  if (random->Chance(0.3)) z[random->Chance(0.5) ? 0 : vocab - 1] = value;
}
void SomeInfinite(Random* random, float* z, int32_t vocab) {
  Some(random, z, vocab, kInfinity);
}
void SomeBanned(Random* random, float* z, int32_t vocab) {
  Some(random, z, vocab, -kInfinity);
}
void SomeNan(Random* random, float* z, int32_t vocab) {
  Some(random, z, vocab, random->Chance(0.5) ? NAN : -NAN);
}

// Most are banned, as after a grammar's mask that was written into the logits.
void MostBanned(Random* random, float* z, int32_t vocab) {
  Normal(random, z, vocab);
  for (int32_t i = 0; i < vocab; ++i) z[i] = random->Below(50) ? -kInfinity : z[i];
}

void Zeros(Random* random, float* z, int32_t vocab) {
  constexpr float kZeros[] = {0.0f, -0.0f, 0.0f, -0.0f, 1e-45f, -1e-45f};
  for (int32_t i = 0; i < vocab; ++i) z[i] = random->Pick(kZeros);
}

void Subnormal(Random* random, float* z, int32_t vocab) {
  for (int32_t i = 0; i < vocab; ++i) {
    const auto bits = static_cast<uint32_t>(random->Bits());
    z[i] = FloatFromBits((bits & 0x7fffffu) | (bits & 0x80000000u));
  }
}

void Huge(Random* random, float* z, int32_t vocab) {
  constexpr float kHuge[] = {3e38f, -3e38f, 1e38f, kMax, -kMax, 0.0f, 6e4f, -6e4f};
  for (int32_t i = 0; i < vocab; ++i) z[i] = random->Pick(kHuge);
}

// Any bits at all but NaN.
void Bits(Random* random, float* z, int32_t vocab) {
  for (int32_t i = 0; i < vocab; ++i) {
    z[i] = FloatFromBits(static_cast<uint32_t>(random->Bits()));
    if (std::isnan(z[i])) z[i] = 0.0f;
  }
}

// One likely token, the others where weights are a few units or vanish.
void Tail(Random* random, float* z, int32_t vocab) {
  const float high = random->Chance(0.5) ? -12.0f : -27.0f;
  for (int32_t i = 0; i < vocab; ++i) z[i] = random->Uniform(-30.5f, high);
  z[random->Token(vocab)] = 0.0f;
}

// At temperature 1, z * log2(e) is near a half integer, where rint changes, or near an integer.
void Seams(Random* random, float* z, int32_t vocab) {
  for (int32_t i = 0; i < vocab; ++i) {
    z[i] = static_cast<float>(random->Below(90)) * -0.34657359f;
    if (z[i] != 0.0f) z[i] = FloatFromBits(BitsOfFloat(z[i]) + static_cast<uint32_t>(random->Between(-2, 2)));
  }
  z[random->Token(vocab)] = 0.0f;
}

// Each token is a new maximum, or none after the first: what a running maximum does most and least on.
void Sorted(Random* random, float* z, int32_t vocab) {
  Normal(random, z, vocab);
  std::sort(z, z + vocab);
  if (random->Chance(0.5)) std::reverse(z, z + vocab);
}

uint16_t NarrowBFloat16(float value) {
  const uint32_t bits = BitsOfFloat(value);
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// To the nearest, ties to even. Not every compiler has a type for it.
uint16_t NarrowFloat16(float value) {
  const uint32_t bits = BitsOfFloat(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00u | (bits >> 13 & 0x1ffu));
  const float magnitude = std::fabs(value);
  if (magnitude == 0.0f) return sign;
  if (magnitude >= 65520.0f) return static_cast<uint16_t>(sign | 0x7c00u);
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  // A unit in the last place is 2^(exponent - 11), and 2^-24 where the result is subnormal; the quotient is exact.
  const int last = std::max(exponent - 11, -24);
  const auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, -last)));
  // 1024 to 2048 units of a normal number: the carry moves the exponent on by itself.
  return static_cast<uint16_t>(sign | (units + (static_cast<uint32_t>(last + 24) << 10)));
}

template <class Item, class Narrow>
void Store(const std::vector<float>& z, std::vector<char>* items, Narrow narrow) {
  for (size_t i = 0; i < z.size(); ++i) {
    const Item item = narrow(z[i]);
    std::memcpy(items->data() + i * sizeof item, &item, sizeof item);
  }
}

template <class Item>
void MakeNeighbours(std::vector<char>* items, Item exponent, Random* random) {
  Item first;
  std::memcpy(&first, items->data(), sizeof first);
  if ((first & exponent) == exponent) return;  // infinite or NaN
  for (size_t at = 0; at < items->size(); at += sizeof first) {
    Item item = static_cast<Item>(first + random->Below(3));
    if ((item & exponent) == exponent) item = 0;
    std::memcpy(items->data() + at, &item, sizeof item);
  }
}

}  // namespace

const std::vector<ValueKind>& ValueKinds() {
  // Bad rows are few, because nothing else of them is compared.
  static const std::vector<ValueKind> kinds = {
      {"normal", 16, Normal},       {"peaked", 8, Peaked},       {"confident", 10, Confident},
      {"undecided", 10, Undecided}, {"flat", 5, Flat},           {"almost flat", 5, AlmostFlat},
      {"ties", 14, Ties},           {"dominant", 6, Dominant},   {"all but one banned", 2, AllButOne},
      {"all banned", 1, AllBanned}, {"all NaN", 1, AllNan},      {"some +inf", 3, SomeInfinite},
      {"some -inf", 5, SomeBanned}, {"some NaN", 1, SomeNan},    {"most banned", 4, MostBanned},
      {"zeros", 4, Zeros},          {"subnormal", 4, Subnormal}, {"huge", 4, Huge},
      {"any bits", 4, Bits},        {"tail", 8, Tail},           {"seams", 8, Seams},
      {"sorted", 4, Sorted},
  };
  return kinds;
}

const ValueKind& PickKind(Random* random) {
  int total = 0;
  for (const ValueKind& kind : ValueKinds()) total += kind.share;
  auto at = static_cast<int>(random->Below(static_cast<uint64_t>(total)));
  for (const ValueKind& kind : ValueKinds()) {
    if ((at -= kind.share) < 0) return kind;
  }
  return ValueKinds().front();
}

std::vector<char> MakeItems(const ValueKind& kind, DType dtype, int32_t vocab, Random* random) {
  std::vector<float> z(static_cast<size_t>(vocab));
  kind.make(random, z.data(), vocab);
  std::vector<char> items(z.size() * static_cast<size_t>(ItemSize(dtype)));
  switch (dtype) {
    case DType::kFloat32:
      std::memcpy(items.data(), z.data(), items.size());
      break;
    case DType::kFloat16:
      Store<uint16_t>(z, &items, NarrowFloat16);
      break;
    case DType::kBFloat16:
      Store<uint16_t>(z, &items, NarrowBFloat16);
      break;
  }
  if (random->Chance(0.12)) {
    if (dtype == DType::kFloat32) MakeNeighbours<uint32_t>(&items, 0x7f800000u, random);
    if (dtype == DType::kFloat16) MakeNeighbours<uint16_t>(&items, 0x7c00u, random);
    if (dtype == DType::kBFloat16) MakeNeighbours<uint16_t>(&items, 0x7f80u, random);
  }
  return items;
}

}  // namespace nexttoken::parity
