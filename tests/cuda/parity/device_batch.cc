#include "device_batch.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace nexttoken::parity {
namespace {

int64_t StrideOf(Form form) {
  return IsShared(form) ? 0 : form == Form::kSpread ? kSpreadStride : 1;
}

// Values of all rows in the form that is asked for; what lies between them is `between`.
template <class T, class Value>
std::vector<T> Spread(const Batch& batch, Form form, T between, Value value) {
  const size_t rows = IsShared(form) ? 1 : batch.rows.size();
  const auto stride = static_cast<size_t>(form == Form::kSpread ? kSpreadStride : 1);
  std::vector<T> values((rows - 1) * stride + 1, between);
  for (size_t r = 0; r < rows; ++r) values[r * stride] = static_cast<T>(value(batch.rows[r]));
  return values;
}

// One array with a list for each row, and where each begins and ends.
struct Packed {
  std::vector<int64_t> begin, end;
  std::vector<size_t> order;  // rows whose lists lie there, one after the other
  int64_t stride = 1;
};

template <class Length>
Packed Pack(const Batch& batch, ListForm form, Random* random, Length length) {
  Packed packed;
  const size_t rows = form == ListForm::kShared ? 1 : batch.rows.size();
  for (size_t r = 0; r < rows; ++r) packed.order.push_back(r);
  if (form == ListForm::kSpread) {
    for (size_t i = rows; i > 1; --i) std::swap(packed.order[i - 1], packed.order[random->Below(i)]);
  }
  packed.stride = form == ListForm::kShared ? 0 : form == ListForm::kSpread ? 2 : 1;
  packed.begin.assign(rows * (form == ListForm::kSpread ? 2 : 1), int64_t{1} << 40);
  packed.end = packed.begin;
  int64_t at = 0;
  for (const size_t r : packed.order) {
    const size_t place = r * static_cast<size_t>(packed.stride);
    packed.begin[place] = at;
    at += static_cast<int64_t>(length(r));
    packed.end[place] = at;
  }
  return packed;
}

// The first halves of what was said, counted; the matrices have the rest.
std::vector<HistoryEntry> EntriesOfHalf(const Row& row) {
  History history;
  for (size_t i = 0; i < row.prompt.size() / 2; ++i) history.AddPrompt(row.prompt[i]);
  for (size_t i = 0; i < row.output.size() / 2; ++i) history.AddOutput(row.output[i]);
  return history.entries();
}

}  // namespace

DeviceInput::DeviceInput(const Batch& batch) : random_(Random::Of(batch.number, 77)) {
  PlaceLogits(batch);
  PlaceReals(batch);
  PlaceIntegers(batch);
  PlaceBitmask(batch);
  PlaceBias(batch);
  PlaceHistory(batch);
  view_.penalize_prompt = batch.penalize_prompt;
  view_.logprobs_mode = batch.logprobs_mode;
  view_.n = batch.n;
}

template <class T>
T* DeviceInput::Keep(const std::vector<T>& values) {
  kept_.emplace_back(values);
  return kept_.back().as<T>();
}

void DeviceInput::PlaceLogits(const Batch& batch) {
  const int64_t rows = batch.size(), vocab = batch.vocab, item = ItemSize(batch.dtype);
  int64_t row_stride = vocab, element_stride = 1, first = batch.first_element, elements = rows * vocab;
  switch (batch.layout) {
    case Layout::kPadded:
      row_stride = vocab + 1 + static_cast<int64_t>(random_.Below(70));
      elements = (rows - 1) * row_stride + vocab;
      break;
    case Layout::kStepped:
      element_stride = 3;
      row_stride = vocab * 3;
      elements = rows * row_stride - 2;
      break;
    case Layout::kBackwards:
      element_stride = -2;
      row_stride = vocab * 2;
      elements = rows * row_stride - 1;
      first += 2 * (vocab - 1);
      break;
    case Layout::kTransposed:
      element_stride = rows;
      row_stride = 1;
      break;
    case Layout::kRowsReverse:
      row_stride = -vocab;
      first += (rows - 1) * vocab;
      break;
    case Layout::kOneForAll:
      row_stride = 0;
      elements = vocab;
      break;
    default:
      break;
  }
  std::vector<char> memory(static_cast<size_t>((elements + batch.first_element) * item), '\xff');  // NaN between
  for (int64_t r = 0; r < (batch.layout == Layout::kOneForAll ? 1 : rows); ++r) {
    const char* from = batch.rows[static_cast<size_t>(r)].items.data();
    char* to = memory.data() + (first + r * row_stride) * item;
    if (element_stride == 1) {
      std::memcpy(to, from, static_cast<size_t>(vocab * item));
    } else {
      for (int64_t i = 0; i < vocab; ++i) {
        std::memcpy(to + i * element_stride * item, from + i * item, static_cast<size_t>(item));
      }
    }
  }
  view_.logits = {Keep(memory) + first * item, rows, vocab, row_stride, element_stride, batch.dtype};
}

void DeviceInput::PlaceReals(const Batch& batch) {
  Reals* const places[] = {
      &view_.temperature, &view_.presence_penalty, &view_.frequency_penalty, &view_.repetition_penalty, &view_.top_p,
      &view_.min_p};
  for (size_t which = 0; which < kRealCount; ++which) {
    const Form form = batch.real_forms[which];
    const auto value = [&](const Row& row) { return row.reals[which]; };
    Reals reals;
    if (form == Form::kValue) {
      reals.value = value(batch.rows[0]);
    } else {
      reals.stride = StrideOf(form);
      reals.is_float64 = batch.real_is_float64[which];
      // Out of range between the values: whoever reads there gets a bad row.
      if (reals.is_float64) reals.data = Keep(Spread<double>(batch, form, NAN, value));
      if (!reals.is_float64) reals.data = Keep(Spread<float>(batch, form, NAN, value));
    }
    *places[which] = reals;
  }
}

void DeviceInput::PlaceIntegers(const Batch& batch) {
  Integers* const places[] = {&view_.top_k, &view_.seed, &view_.sequence_index, &view_.step, &view_.logprobs};
  for (size_t which = 0; which < kIntegerCount; ++which) {
    const Form form = batch.integer_forms[which];
    const auto value = [&](const Row& row) { return row.integers[which]; };
    Integers integers;
    if (form == Form::kValue) {
      integers.value = value(batch.rows[0]);
      integers.type = which == kLogprobs ? Integers::Type::kInt64 : Integers::Type::kUInt64;
    } else {
      integers.stride = StrideOf(form);
      integers.type = batch.integer_types[which];
      if (integers.type == Integers::Type::kInt32) {
        integers.data = Keep(Spread<int32_t>(batch, form, -77, value));
      } else {
        integers.data = Keep(Spread<int64_t>(batch, form, -77, value));
      }
      integers_[which] = &kept_.back();
    }
    *places[which] = integers;
  }
}

void DeviceInput::PlaceBitmask(const Batch& batch) {
  if (!batch.HasBitmask()) return;
  const size_t words = batch.rows[0].bitmask.size(), rows = batch.bitmask_is_shared ? 1 : batch.rows.size();
  const size_t stride = words + random_.Below(3);
  std::vector<int32_t> all((rows - 1) * stride + words, 0x55555555);
  for (size_t r = 0; r < rows; ++r) std::memcpy(&all[r * stride], batch.rows[r].bitmask.data(), words * 4);
  view_.token_bitmask = Keep(all);
  view_.token_bitmask_stride = batch.bitmask_is_shared ? 0 : static_cast<int64_t>(stride);
}

void DeviceInput::PlaceBias(const Batch& batch) {
  if (batch.bias_form == ListForm::kNone) return;
  const Packed packed =
      Pack(batch, batch.bias_form, &random_, [&](size_t r) { return batch.rows[r].bias_tokens.size(); });
  std::vector<int32_t> tokens;
  std::vector<float> values;
  for (const size_t r : packed.order) {
    tokens.insert(tokens.end(), batch.rows[r].bias_tokens.begin(), batch.rows[r].bias_tokens.end());
    values.insert(values.end(), batch.rows[r].bias_values.begin(), batch.rows[r].bias_values.end());
  }
  view_.bias = {Keep(packed.begin), Keep(packed.end), packed.stride};
  view_.bias_tokens = Keep(tokens);
  view_.bias_values = Keep(values);
}

void DeviceInput::PlaceHistory(const Batch& batch) {
  if (batch.HasMatrices()) {
    view_.prompt = PlaceMatrix(batch, &Row::prompt);
    view_.output = PlaceMatrix(batch, &Row::output);
  }
  if (batch.history_form == ListForm::kNone) return;
  std::vector<std::vector<HistoryEntry>> lists;
  size_t longest = 0;
  for (const Row& row : batch.rows) {
    lists.push_back(batch.history_is_split ? EntriesOfHalf(row) : row.entries);
    longest = std::max(longest, lists.back().size());
  }
  const Packed packed = Pack(batch, batch.history_form, &random_, [&](size_t r) { return lists[r].size(); });
  std::vector<HistoryEntry> entries;
  for (const size_t r : packed.order) entries.insert(entries.end(), lists[r].begin(), lists[r].end());
  view_.history = {Keep(packed.begin), Keep(packed.end), packed.stride};
  view_.history_entries = Keep(entries);
  view_.longest_history = static_cast<int64_t>(longest);
}

// Rows of different lengths, padded with -1; now and then -1 comes between tokens too.
TokenMatrix DeviceInput::PlaceMatrix(const Batch& batch, std::vector<int32_t> Row::* tokens) {
  const size_t rows = batch.matrices_are_shared ? 1 : batch.rows.size();
  std::vector<std::vector<int32_t>> lines(rows);
  size_t length = 0;
  const bool gaps = random_.Chance(0.3);
  for (size_t r = 0; r < rows; ++r) {
    const std::vector<int32_t>& said = batch.rows[r].*tokens;
    for (size_t i = batch.history_is_split ? said.size() / 2 : 0; i < said.size(); ++i) {
      while (gaps && random_.Chance(0.3)) lines[r].push_back(-1);
      lines[r].push_back(said[i]);
    }
    length = std::max(length, lines[r].size());
  }
  if (length == 0 && random_.Chance(0.5)) return {};
  const size_t stride = length + random_.Below(3);
  // Beyond the length nobody looks.
  std::vector<int32_t> all(length ? (rows - 1) * stride + length : 0, 0x7fffffff);
  for (size_t r = 0; r < rows && length; ++r) {
    lines[r].resize(length, -1);
    std::memcpy(&all[r * stride], lines[r].data(), length * sizeof(int32_t));
  }
  TokenMatrix matrix;
  matrix.row_stride = batch.matrices_are_shared ? 0 : static_cast<int64_t>(stride);
  matrix.length = static_cast<int64_t>(length);
  matrix.is_int64 = batch.matrices_are_int64;
  if (matrix.is_int64) {
    matrix.data = Keep(std::vector<int64_t>(all.begin(), all.end()));
  } else {
    matrix.data = Keep(all);
  }
  return matrix;
}

DeviceOutput::DeviceOutput(const Batch& batch, unsigned wanted) {
  const size_t rows = batch.rows.size(), n = static_cast<size_t>(batch.n);
  const auto k = static_cast<size_t>(batch.top_capacity);
  shape_.n = batch.n;
  shape_.top_capacity = batch.top_capacity;
  shape_.vocab = batch.vocab;
  view_.top_capacity = batch.top_capacity;
  Place(wanted & kTokenIds, rows * n, &token_ids_, &view_.token_ids);
  Place(wanted & kStatus, rows, &status_, &view_.status);
  Place(wanted & kDrawnLogprobs, rows * n, &logprobs_, &view_.logprobs);
  Place(wanted & kTopTokenIds && k, rows * k, &top_token_ids_, &view_.top_token_ids);
  Place(wanted & kTopLogprobs && k, rows * k, &top_logprobs_, &view_.top_logprobs);
  Place(wanted & kWeights, rows * static_cast<size_t>(batch.vocab), &weights_, &view_.weights);
  Place(wanted & kMass, rows, &mass_, &view_.mass);
  Spoil();
}

template <class T>
void DeviceOutput::Place(bool wanted, size_t count, DeviceMemory* memory, T** pointer) {
  if (!wanted) return;
  *memory = DeviceMemory(count * sizeof(T));
  *pointer = memory->as<T>();
}

void DeviceOutput::Spoil() {
  for (DeviceMemory* memory : {&token_ids_, &status_, &logprobs_, &top_token_ids_, &top_logprobs_, &weights_, &mass_}) {
    if (memory->data()) memory->Spoil();
  }
}

Results DeviceOutput::Read() const {
  Results results = shape_;
  if (token_ids_.data()) results.token_ids = token_ids_.Read<int32_t>();
  if (status_.data()) results.status = status_.Read<Status>();
  if (logprobs_.data()) results.logprobs = logprobs_.Read<float>();
  if (top_token_ids_.data()) results.top_token_ids = top_token_ids_.Read<int32_t>();
  if (top_logprobs_.data()) results.top_logprobs = top_logprobs_.Read<float>();
  if (weights_.data()) results.weights = weights_.Read<uint64_t>();
  if (mass_.data()) results.mass = mass_.Read<uint64_t>();
  return results;
}

bool DeviceOutput::IsIntact() const {
  return token_ids_.IsIntact() && status_.IsIntact() && logprobs_.IsIntact() && top_token_ids_.IsIntact() &&
         top_logprobs_.IsIntact() && weights_.IsIntact() && mass_.IsIntact();
}

DeviceMemory QueueStep(const BatchInput& input, const BatchOutput& output, const BatchPlan& plan) {
  DeviceMemory workspace(BatchWorkspaceBytes(input, plan));
  workspace.Spoil();
  RequireSuccess(SampleBatch(input, output, plan, workspace.data(), Device::Stream()), "SampleBatch");
  return workspace;
}

Results RunStep(const Batch& batch, const DeviceInput& input, const BatchPlan& plan, unsigned wanted) {
  const DeviceOutput output(batch, wanted);
  const DeviceMemory workspace = QueueStep(input.view(), output.view(), plan);
  Results results = output.Read();
  if (!output.IsIntact() || !workspace.IsIntact()) {
    std::printf("batch %llu: bytes past the end of %s were written\n", static_cast<unsigned long long>(batch.number),
                output.IsIntact() ? "the workspace" : "the output");
    std::exit(1);
  }
  return results;
}

}  // namespace nexttoken::parity
