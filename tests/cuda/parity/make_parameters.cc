// Parameters of random rows: mostly from short lists of hard values, ends of ranges and neighbours of thresholds.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "batch.h"

namespace nexttoken::parity {
namespace {

constexpr double kFloatMax = 3.4028234663852886e38;

constexpr double kTemperatures[] = {
    0.0, -0.0, 5e-324, 1e-6, 9.9999994e-6, 9.99999974e-6, 1e-5, 1.0000002e-5, 1e-4, 0.01, 0.1, 0.3,   0.7,  0.8,
    0.8, 1.0,  1.0,    1.0,  1.3,          2.0,           10,   1e4,          1e10, 9e29, 0.8, 1e-39, 1e30,
};
constexpr double kTopPs[] = {1.0,  1.0, 1.0, 0.0,  -0.0, 5e-324, 1e-300, 1e-17, 1e-6,        0.1,
                             0.25, 0.5, 0.5, 0.75, 0.9,  0.95,   0.95,   0.99,  1 - 0x1p-53, 0.999};
constexpr double kMinPs[] = {0.0,           0.0,  0.0,  0.0, 0.0,  -0.0, 5e-324, 1e-300,        0x1p-43,     0x1p-42,
                             1.5 * 0x1p-42, 1e-9, 0.01, 0.1, 0.25, 0.5,  0.05,   0.5 + 0x1p-53, 1 - 0x1p-53, 1.0};
constexpr double kPenalties[] = {0.0,   0.0,   -0.0,  0.5,    -0.5, 2.0,   1.1,       -1.7,
                                 1e-46, 1e-45, 1e-40, -1e-40, 3e38, -3e38, kFloatMax, -kFloatMax};
constexpr double kRepetitions[] = {1.0, 1.0, 1 + 0x1p-30, 1 + 0x1p-23, 1.1, 1.3, 2.0, 0.5, 1e-6, 1e6};

Form PickForm(Random* random) {
  constexpr Form kForms[] = {Form::kValue, Form::kShared, Form::kPerRow, Form::kPerRow, Form::kPerRow, Form::kSpread};
  return random->Pick(kForms);
}

double PickReal(Random* random, Real which) {
  switch (which) {
    case kTemperature:
      return random->Pick(kTemperatures);
    case kTopP:
      return random->Chance(0.15) ? random->Unit() : random->Pick(kTopPs);
    case kMinP:
      return random->Pick(kMinPs);
    case kRepetition:
      return random->Pick(kRepetitions);
    default:
      return random->Pick(kPenalties);
  }
}

void FillReal(Random* random, Batch* batch, Real which) {
  const Form form = PickForm(random);
  const bool is_float64 = random->Chance(0.5);
  batch->real_forms[which] = form;
  batch->real_is_float64[which] = is_float64;
  const auto pick = [&] {
    double value = PickReal(random, which);
    if (form == Form::kValue || is_float64) return value;
    return static_cast<double>(static_cast<float>(value));
  };
  const double shared = pick();
  for (Row& row : batch->rows) row.reals[which] = IsShared(form) ? shared : pick();
}

void FillInteger(Random* random, Batch* batch, Integer which, const std::function<uint64_t()>& pick) {
  const Form form = PickForm(random);
  constexpr Integers::Type kTypes[] = {Integers::Type::kInt64, Integers::Type::kInt64, Integers::Type::kInt32,
                                       Integers::Type::kUInt64};
  const Integers::Type type = random->Pick(kTypes);
  batch->integer_forms[which] = form;
  batch->integer_types[which] = type;
  const auto fitted = [&] {
    uint64_t value = pick();
    // What the type cannot hold is folded into its range. A seed is any integer, the others are not below zero.
    if (which == kLogprobs) return value;
    if (form == Form::kValue || type == Integers::Type::kUInt64) return value;
    if (type == Integers::Type::kInt32) value = static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)});
    if (which == kSeed) return value;
    return type == Integers::Type::kInt32 ? value & 0x7fffffffu : value & 0x7fffffffffffffffu;
  };
  const uint64_t shared = fitted();
  for (Row& row : batch->rows) row.integers[which] = IsShared(form) ? shared : fitted();
}

uint64_t PickTopK(Random* random, int32_t vocab) {
  const auto v = static_cast<uint64_t>(vocab);
  const uint64_t hard[] = {0,
                           0,
                           0,
                           0,
                           1,
                           2,
                           3,
                           v / 2,
                           v - 1,
                           v,
                           v + 1,
                           40,
                           50,
                           256,
                           257,
                           1000,
                           1025,
                           4096,
                           uint64_t{1} << 31,
                           uint64_t{1} << 40};
  return random->Pick(hard);
}

void FillLogprobs(Random* random, Batch* batch) {
  constexpr uint64_t kNone = ~uint64_t{0};
  // Within one call all rows ask for about the same; whether any may ask decides what buffers there are.
  const bool any = random->Chance(0.6);
  FillInteger(random, batch, kLogprobs, [&]() -> uint64_t {
    constexpr uint64_t kAsked[] = {kNone, 0, 0, 1, 5, 20, 19};
    return any ? random->Pick(kAsked) : kNone;
  });
  uint64_t most = 0;
  for (Row& row : batch->rows) {
    uint64_t& asked = row.integers[kLogprobs];
    const bool unsigned_on_device =
        batch->integer_types[kLogprobs] == Integers::Type::kUInt64 && batch->integer_forms[kLogprobs] != Form::kValue;
    if (asked == kNone && unsigned_on_device) asked = 0;  // -1 has no place in an unsigned array
    if (asked != kNone) most = std::max(most, asked);
  }
  batch->top_capacity = static_cast<int32_t>(most) + (random->Chance(0.2) ? 3 : 0);
}

}  // namespace

void MakeParameters(Random* random, Batch* batch) {
  constexpr int32_t kDraws[] = {1, 1, 1, 1, 2, 3, 8, 33};
  batch->n = random->Pick(kDraws);
  if (batch->vocab <= 4097 && random->Chance(0.01)) batch->n = 257;
  batch->penalize_prompt = random->Chance(0.4);
  batch->logprobs_mode = random->Chance(0.5) ? LogprobsMode::kRaw : LogprobsMode::kProcessed;
  for (const Real which : {kTemperature, kTopP, kMinP}) FillReal(random, batch, which);
  // Cuts alone and together: each list also has its neutral value many times.
  if (random->Chance(0.6)) {
    for (const Real which : {kPresence, kFrequency, kRepetition}) FillReal(random, batch, which);
  } else {
    for (const Real which : {kPresence, kFrequency, kRepetition}) {
      batch->real_forms[which] = random->Chance(0.5) ? Form::kValue : Form::kPerRow;
    }
  }
  FillInteger(random, batch, kTopK, [&] { return PickTopK(random, batch->vocab); });
  FillInteger(random, batch, kSeed, [&] {
    const uint64_t hard[] = {0, 1, 2, ~uint64_t{0}, uint64_t{1} << 63, (uint64_t{1} << 32) - 1};
    return random->Chance(0.4) ? random->Pick(hard) : random->Bits();
  });
  FillInteger(random, batch, kStep, [&] {
    const uint64_t hard[] = {0,           0, 1, 2, 17, uint64_t{1} << 31, (uint64_t{1} << 32) - 1, uint64_t{1} << 32,
                             ~uint64_t{0}};
    return random->Chance(0.5) ? random->Pick(hard) : random->Bits();
  });
  FillInteger(random, batch, kSequenceIndex, [&] {
    const uint64_t last = (uint64_t{1} << 32) - static_cast<uint64_t>(batch->n);
    const uint64_t hard[] = {0, 0, 1, (uint64_t{1} << 31) - 1, uint64_t{1} << 31, last};
    return random->Pick(hard);
  });
  FillLogprobs(random, batch);
}

void PutTopPOnBoundaries(Random* random, Batch* batch) {
  const Form form = batch->real_forms[kTopP];
  const bool exact = IsShared(form) ? false : batch->real_is_float64[kTopP];
  if (!exact) return;
  for (Row& row : batch->rows) {
    if (!random->Chance(batch->vocab > 20000 ? 0.05 : 0.15)) continue;
    row.reals[kTopP] = 1.0;
    std::vector<uint64_t> weights(static_cast<size_t>(batch->vocab));
    uint64_t mass = 0;
    RowOutput output;
    output.weights = weights.data();
    output.mass = &mass;
    const RowInput input = InputOf(*batch, row);
    SampleRows(&input, &output, 1);
    if (mass == 0) continue;
    weights.erase(std::remove(weights.begin(), weights.end(), uint64_t{0}), weights.end());
    std::sort(weights.begin(), weights.end(), std::greater<uint64_t>());
    const size_t ranks = 1 + random->Below(random->Chance(0.5) ? std::min<size_t>(weights.size(), 20) : weights.size());
    const uint64_t prefix =
        std::accumulate(weights.begin(), weights.begin() + static_cast<int64_t>(ranks), uint64_t{0});
    const double share = static_cast<double>(prefix) / static_cast<double>(mass);
    const double beside[] = {share, std::nextafter(share, 0.0), std::nextafter(share, 2.0)};
    row.reals[kTopP] = std::min(1.0, random->Pick(beside));
  }
}

}  // namespace nexttoken::parity
