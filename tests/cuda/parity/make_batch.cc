#include <algorithm>
#include <limits>

#include "batch.h"
#include "thread_pool.h"
#include "values.h"

namespace nexttoken::parity {
namespace {

int32_t PickVocabulary(Random* random, const Size& size) {
  const double part = random->Unit();
  int32_t vocab = static_cast<int32_t>(random->Between(1, 300));
  if (part < 0.35) vocab = EdgeVocabularies()[random->Below(EdgeVocabularies().size())];
  if (part > 0.90) vocab = static_cast<int32_t>(random->Between(301, 40000));
  if (part > 0.94) vocab = LargeVocabularies()[random->Below(LargeVocabularies().size())];
  return vocab <= size.max_vocab ? vocab : static_cast<int32_t>(random->Between(1, std::min(size.max_vocab, 4096)));
}

int64_t PickRows(Random* random, int32_t vocab, const Size& size) {
  constexpr int64_t kRows[] = {1, 2, 3, 8, 31, 33, 64, 100, 128, 200, 300};
  const int64_t most = std::min(size.max_rows, std::max<int64_t>(1, size.max_elements / vocab));
  return std::clamp<int64_t>(random->Pick(kRows), 1, most);
}

void PickLayout(Random* random, Batch* batch) {
  // Dense rows are the common case, and the one with wide loads.
  if (random->Chance(0.6)) {
    batch->layout = static_cast<Layout>(random->Below(static_cast<uint64_t>(Layout::kLayoutCount)));
  }
  if (random->Chance(0.5)) batch->first_element = static_cast<int32_t>(random->Below(8));
}

// The values, on all threads: they are most of the work.
void FillItems(uint64_t seed, const std::vector<const ValueKind*>& kinds, Batch* batch) {
  ParallelFor(batch->size(), [&](int64_t r) {
    Random random = Random::Of(seed, batch->number, static_cast<uint64_t>(r) + 1);
    Row& row = batch->rows[static_cast<size_t>(r)];
    row.kind = kinds[static_cast<size_t>(r)]->name;
    row.items = MakeItems(*kinds[static_cast<size_t>(r)], batch->dtype, batch->vocab, &random);
  });
  if (batch->layout == Layout::kOneForAll) {
    for (Row& row : batch->rows) {
      row.items = batch->rows[0].items;
      row.kind = batch->rows[0].kind;
    }
  }
}

}  // namespace

const std::vector<int32_t>& EdgeVocabularies() {
  static const std::vector<int32_t> sizes = {1,    2,    3,    31,   32,   33,   63,   64,   65,   127,
                                             128,  129,  255,  256,  257,  300,  511,  512,  513,  1000,
                                             1023, 1024, 1025, 2047, 2049, 4095, 4096, 4097, 8192, 8193};
  return sizes;
}

const std::vector<int32_t>& LargeVocabularies() {
  static const std::vector<int32_t> sizes = {16385,  32000,  50257,  65537,         128256,
                                             151936, 262144, 524289, (1 << 20) - 1, 1 << 20};
  return sizes;
}

RowInput InputOf(const Batch& batch, const Row& row) {
  RowInput in;
  in.logits = {row.items.data(), 1, batch.vocab, batch.dtype};
  RowParams& p = in.params;
  p.temperature = static_cast<float>(row.reals[kTemperature]);
  p.presence_penalty = static_cast<float>(row.reals[kPresence]);
  p.frequency_penalty = static_cast<float>(row.reals[kFrequency]);
  p.repetition_penalty = static_cast<float>(row.reals[kRepetition]);
  p.top_p = row.reals[kTopP];
  p.min_p = row.reals[kMinP];
  constexpr uint64_t kMost = std::numeric_limits<int32_t>::max();
  p.top_k = static_cast<int32_t>(std::min(row.integers[kTopK], kMost));
  p.penalize_prompt = batch.penalize_prompt;
  p.logprobs_mode = batch.logprobs_mode;
  p.logprobs = static_cast<int8_t>(row.integers[kLogprobs]);
  p.seed = row.integers[kSeed];
  p.sequence_index = static_cast<uint32_t>(row.integers[kSequenceIndex]);
  in.token_bitmask = row.bitmask.empty() ? nullptr : row.bitmask.data();
  in.bias_tokens = row.bias_tokens.data();
  in.bias_values = row.bias_values.data();
  in.bias_count = static_cast<int32_t>(row.bias_tokens.size());
  in.history = row.entries.data();
  in.history_count = static_cast<int32_t>(row.entries.size());
  in.step = row.integers[kStep];
  in.n = batch.n;
  return in;
}

Batch Batch::Take(const std::vector<size_t>& which) const {
  Batch taken = *this;
  taken.rows.clear();
  for (const size_t row : which) taken.rows.push_back(rows[row]);
  return taken;
}

Batch MakeRandomBatch(uint64_t seed, uint64_t number, const Size& size) {
  Random random = Random::Of(seed, number);
  Batch batch;
  batch.number = number;
  batch.origin = "random";
  constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat32, DType::kBFloat16, DType::kFloat16};
  batch.dtype = random.Pick(kDTypes);
  batch.vocab = PickVocabulary(&random, size);
  batch.rows.resize(static_cast<size_t>(PickRows(&random, batch.vocab, size)));
  PickLayout(&random, &batch);
  std::vector<const ValueKind*> kinds;
  for (size_t i = 0; i < batch.rows.size(); ++i) kinds.push_back(&PickKind(&random));
  FillItems(seed, kinds, &batch);
  MakeParameters(&random, &batch);
  MakeLists(&random, &batch);
  PutTopPOnBoundaries(&random, &batch);
  return batch;
}

Batch MakeBatchOfAllKinds(uint64_t seed, uint64_t number, int32_t vocab, DType dtype) {
  Random random = Random::Of(seed, number);
  Batch batch;
  batch.number = number;
  batch.origin = "all kinds";
  batch.dtype = dtype;
  batch.vocab = vocab;
  std::vector<const ValueKind*> kinds;
  for (const ValueKind& kind : ValueKinds()) kinds.push_back(&kind);
  batch.rows.resize(kinds.size());
  PickLayout(&random, &batch);
  if (batch.layout == Layout::kOneForAll) batch.layout = Layout::kDense;  // it would be one kind
  FillItems(seed, kinds, &batch);
  MakeParameters(&random, &batch);
  MakeLists(&random, &batch);
  PutTopPOnBoundaries(&random, &batch);
  return batch;
}

}  // namespace nexttoken::parity
