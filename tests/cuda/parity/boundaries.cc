// Draws whose target is a running sum exactly: the token after it is the first to exceed it.
//
// At random that comes once in 2^42 draws. Philox can be run backwards: of each seed, the outputs that begin with the
// wanted 64 bits lead to counters, and one in 2^32 of those is a draw's. These were found so.
#include <algorithm>

#include "checks.h"
#include "device_batch.h"
#include "nexttoken/philox.h"
#include "plans.h"

namespace nexttoken::parity {
namespace {

struct Place {
  uint64_t bits;
  uint64_t seed;
  uint64_t step;
  uint32_t sequence_index;
};

constexpr Place kPlaces[] = {
    {0, 101, 0xc56c29cf3d255205u, 0x77af67dfu},
    {uint64_t{1} << 62, 4, 0x39713ffd57325291u, 0xc3e35253u},
    {uint64_t{1} << 63, 4, 0x95987318cf99daf4u, 0x52ed3a93u},
    {uint64_t{3} << 62, 18, 0xdc710a3fae6ecc44u, 0xf183696bu},
    {~uint64_t{0}, 7, 0xb21d797afb92b68cu, 0x4c67b8b1u},
};

// Flat rows: at a quarter, half and three quarters of the mass is a boundary between two tokens, which is one between
// two chunks in a large vocabulary. A part of the rows is cut to a power of two.
Batch MakeBatch(uint64_t number, int32_t vocab, DType dtype) {
  Batch batch;
  batch.number = number;
  batch.origin = "draws on boundaries";
  batch.dtype = dtype;
  batch.vocab = vocab;
  batch.real_forms.fill(Form::kPerRow);
  batch.real_is_float64.fill(true);
  batch.integer_forms.fill(Form::kPerRow);
  batch.integer_types.fill(Integers::Type::kUInt64);
  batch.integer_types[kLogprobs] = Integers::Type::kInt64;
  for (const Place& place : kPlaces) {
    for (const int32_t cut : {0, 4, 64, 1024}) {
      if (cut > vocab) continue;
      Row row;
      row.kind = "flat";
      row.items.assign(static_cast<size_t>(vocab * ItemSize(dtype)), '\0');
      row.integers[kTopK] = static_cast<uint64_t>(cut);
      row.integers[kSeed] = place.seed;
      row.integers[kStep] = place.step;
      row.integers[kSequenceIndex] = place.sequence_index;
      batch.rows.push_back(row);
    }
  }
  return batch;
}

}  // namespace

void Checks::DrawsOnBoundaries(uint64_t number, int32_t largest_vocab) {
  for (const Place& place : kPlaces) {
    const uint64_t bits = DrawBits(place.seed, place.sequence_index, place.step);
    tally.AddOther("draws on boundaries", bits == place.bits, "the bits of a draw are not those it was found for");
  }
  for (const int32_t vocab : {2, 4, 32, 64, 256, 512, 1024, 8192, 65536, 1 << 20}) {
    if (vocab > largest_vocab) continue;
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      const Batch batch = MakeBatch(number++, vocab, dtype);
      Results wanted = OnHost(batch);
      // By hand: of `count` equal weights, the target falls into the floor(bits * count / 2^64)-th.
      size_t row = 0;
      for (const Place& place : kPlaces) {
        for (; row < batch.rows.size() && batch.rows[row].integers[kStep] == place.step; ++row) {
          const uint64_t cut = batch.rows[row].integers[kTopK];
          const unsigned __int128 count = cut ? cut : static_cast<uint64_t>(vocab);
          const auto token = static_cast<int32_t>((count * place.bits) >> 64);
          const bool is_right = wanted.token_ids[row] == token;
          tally.Add("draws on boundaries", batch, row, "", is_right ? "" : "the CPU kernel's token is another");
        }
      }
      const DeviceInput input(batch);
      for (const BatchPlan& plan : LegalPlans(batch, limits)) {
        Compare("draws on boundaries", batch, RunStep(batch, input, plan), wanted, Logprobs::kClose,
                parity::Told(plan));
      }
    }
  }
}

}  // namespace nexttoken::parity
