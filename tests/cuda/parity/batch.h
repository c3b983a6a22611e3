// A batch before it lies anywhere: rows, and the form in which each parameter is handed over.
//
// One batch serves both sides: the CPU reads a row at a time (host_results.h), the device all of it (device_batch.h).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "nexttoken/sample.h"
#include "nexttoken/sample_batch.h"
#include "random.h"

namespace nexttoken::parity {

enum Real : uint8_t { kTemperature, kPresence, kFrequency, kRepetition, kTopP, kMinP, kRealCount };
enum Integer : uint8_t { kTopK, kSeed, kSequenceIndex, kStep, kLogprobs, kIntegerCount };

// How values, one a row, are handed over.
enum class Form : uint8_t {
  kValue,   // by value, from the host; one for all rows
  kShared,  // in device memory, one for all rows
  kPerRow,  // in device memory, side by side
  kSpread,  // in device memory, kSpreadStride apart
};
constexpr int64_t kSpreadStride = 3;
inline bool IsShared(Form form) {
  return form == Form::kValue || form == Form::kShared;
}

struct Row {
  const char* kind = "";
  std::vector<char> items;  // dense, in the batch's dtype
  // As the caller gave them: double and 64 bits; Params() rounds them.
  std::array<double, kRealCount> reals = {1.0, 0.0, 0.0, 1.0, 1.0, 0.0};
  std::array<uint64_t, kIntegerCount> integers = {0, 0, 0, 0, ~uint64_t{0}};
  std::vector<int32_t> bitmask;  // words; empty: none
  std::vector<int32_t> bias_tokens;
  std::vector<float> bias_values;
  std::vector<int32_t> prompt, output;  // as they were said
  std::vector<HistoryEntry> entries;    // counted
  bool entries_are_said = true;         // false: with counts that prompt and output do not spell out
  bool is_bad = false;                  // a value is out of range: kBadParameter is expected, and nothing is drawn
};

enum class Layout : uint8_t {
  kDense,
  kPadded,       // columns beyond the vocabulary
  kStepped,      // every third element
  kBackwards,    // every second element, from the last to the first
  kTransposed,   // a column of rows
  kRowsReverse,  // the last row first
  kOneForAll,    // row stride 0
  kLayoutCount,
};

enum class ListForm : uint8_t { kNone, kSideBySide, kSpread, kShared };

struct Batch {
  uint64_t number = 0;  // with the seed of the run, it makes the batch again
  const char* origin = "";
  DType dtype = DType::kFloat32;
  int32_t vocab = 1;
  int32_t n = 1;
  int32_t top_capacity = 0;
  bool penalize_prompt = false;
  LogprobsMode logprobs_mode = LogprobsMode::kRaw;

  Layout layout = Layout::kDense;
  int32_t first_element = 0;  // the first row's place in its allocation: every alignment that elements may have
  std::array<Form, kRealCount> real_forms = {};
  std::array<bool, kRealCount> real_is_float64 = {};
  std::array<Form, kIntegerCount> integer_forms = {};
  std::array<Integers::Type, kIntegerCount> integer_types = {};
  ListForm bias_form = ListForm::kNone;
  ListForm history_form = ListForm::kNone;  // of entries; kNone: as matrices, where any row has a history
  bool history_is_split = false;            // the first half of what was said as entries, the rest in matrices
  bool matrices_are_shared = false;         // row stride 0
  bool matrices_are_int64 = false;
  bool bitmask_is_shared = false;

  std::vector<Row> rows;

  int64_t size() const { return static_cast<int64_t>(rows.size()); }
  bool HasMatrices() const { return history_form == ListForm::kNone || history_is_split; }
  bool HasBitmask() const { return !rows.empty() && !rows[0].bitmask.empty(); }
  // A batch of these rows, in this order.
  Batch Take(const std::vector<size_t>& which) const;
};

// The row as the CPU kernels take it; borrows from `row`.
RowInput InputOf(const Batch& batch, const Row& row);

// How large batches may get.
struct Size {
  int32_t max_vocab = 0;
  int64_t max_elements = 0;  // of all rows together
  int64_t max_rows = 0;
};

// Everything is decided by (seed, number).
Batch MakeRandomBatch(uint64_t seed, uint64_t number, const Size& size);
// Every kind of values at this vocabulary and dtype, a row or a few of each.
Batch MakeBatchOfAllKinds(uint64_t seed, uint64_t number, int32_t vocab, DType dtype);

// The vocabularies that random batches and batches of all kinds have.
const std::vector<int32_t>& EdgeVocabularies();
const std::vector<int32_t>& LargeVocabularies();

// Parts of MakeRandomBatch, a file each (make_parameters.cc, make_lists.cc): they fill rows whose items are there.
void MakeParameters(Random* random, Batch* batch);
void MakeLists(Random* random, Batch* batch);
// Moves top_p of some rows onto a share that a prefix of the ranks holds, or one unit in the last place beside it.
void PutTopPOnBoundaries(Random* random, Batch* batch);

}  // namespace nexttoken::parity
