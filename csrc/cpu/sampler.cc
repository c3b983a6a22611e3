#include "nexttoken/sampler.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "nexttoken/adjust.h"

namespace nexttoken {
namespace {

bool Contains(const std::vector<int32_t>& ascending, int32_t token) {
  return std::binary_search(ascending.begin(), ascending.end(), token);
}

}  // namespace

Sampler::Sampler(int32_t vocab_size, std::vector<std::string> token_bytes, std::vector<int32_t> eos_tokens,
                 bool strip_leading_space)
    : vocab_size_(vocab_size),
      token_bytes_(std::move(token_bytes)),
      eos_tokens_([&] {
        std::sort(eos_tokens.begin(), eos_tokens.end());
        return std::move(eos_tokens);
      }()),
      strip_leading_space_(strip_leading_space) {}

Sampler::Row& Sampler::Find(int64_t row) {
  const auto found = rows_.find(row);
  if (found == rows_.end()) throw std::invalid_argument("row must be one that was added, got " + std::to_string(row));
  return *found->second;
}

bool Sampler::EndsText(const Row& row, int32_t token) const {
  const Request& request = *row.request;
  return (!request.ignore_eos && Contains(eos_tokens_, token)) ||
         std::find(request.stop_tokens.begin(), request.stop_tokens.end(), token) != request.stop_tokens.end();
}

std::shared_ptr<const Request> Sampler::WithBans(const Request& request) const {
  auto banned = std::make_shared<Request>(request);
  std::vector<int32_t> bans = request.stop_tokens;
  if (!request.ignore_eos) bans.insert(bans.end(), eos_tokens_.begin(), eos_tokens_.end());
  for (const int32_t token : bans) {
    const auto found = std::find(banned->bias_tokens.begin(), banned->bias_tokens.end(), token);
    if (found == banned->bias_tokens.end()) {
      banned->bias_tokens.push_back(token);
      banned->bias_values.push_back(kNegativeInfinity);
    } else {
      banned->bias_values[static_cast<size_t>(found - banned->bias_tokens.begin())] = kNegativeInfinity;
    }
  }
  return banned;
}

int64_t Sampler::Add(std::shared_ptr<const Request> request, const std::vector<int32_t>& prompt,
                     const std::vector<int32_t>& output, uint64_t seed, uint32_t sequence_index) {
  auto row = std::make_unique<Row>();
  row->seed = seed;
  row->sequence_index = sequence_index;
  const bool waits = request->min_tokens > 0;
  row->bias = waits ? WithBans(*request) : request;
  row->text = TextStream(waits ? nullptr : request->stops, strip_leading_space_);
  row->request = std::move(request);
  if (row->request->params.HasPenalties()) {
    for (const int32_t token : prompt) row->history.AddPrompt(token);
  }
  std::string already_shown;
  for (const int32_t token : output) {
    if (row->finish != FinishReason::kNone) {
      throw std::invalid_argument("output_token_ids must not go on after the row has ended, at token " +
                                  std::to_string(row->step));
    }
    Advance(row.get(), token, &already_shown);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  row->number = next_row_;
  rows_.emplace(next_row_, std::move(row));
  return next_row_++;
}

std::vector<int64_t> Sampler::Fork(int64_t row, int32_t n, uint32_t sequence_index) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Row& parent = Find(row);
  // In a table of their own first: all of them join, or none.
  std::map<int64_t, std::unique_ptr<Row>> forks;
  std::vector<int64_t> numbers;
  for (int32_t i = 0; i < n; ++i) {
    auto fork = std::make_unique<Row>(parent);
    fork->sequence_index = sequence_index + static_cast<uint32_t>(i);
    fork->number = next_row_ + i;
    numbers.push_back(fork->number);
    forks.emplace(numbers.back(), std::move(fork));
  }
  rows_.merge(forks);
  next_row_ += n;
  return numbers;
}

void Sampler::Remove(int64_t row) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Find(row);
  rows_.erase(row);
}

std::vector<int64_t> Sampler::ActiveRows() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<int64_t> active;
  for (const auto& [number, row] : rows_) {
    if (row->finish == FinishReason::kNone) active.push_back(number);
  }
  return active;
}

void Sampler::Advance(Row* row, int32_t token, std::string* text) {
  const Request& request = *row->request;
  if (request.params.HasPenalties()) row->history.AddOutput(token);
  ++row->step;
  const int64_t said = static_cast<int64_t>(row->step);
  if (EndsText(*row, token)) {
    row->finish = FinishReason::kStop;
  } else if (has_text() && static_cast<size_t>(token) < token_bytes_.size()) {
    const std::string& bytes = token_bytes_[static_cast<size_t>(token)];
    if (row->text.Push(bytes.data(), bytes.size(), text)) row->finish = FinishReason::kStop;
  }
  if (row->finish == FinishReason::kNone && said == request.max_tokens) row->finish = FinishReason::kLength;
  if (row->finish != FinishReason::kNone) {
    row->text.Finish(text);
    // A stop string complete within the limit is a stop, also where the limit came before the text could tell which.
    if (row->text.matched_stop() >= 0) row->finish = FinishReason::kStop;
  } else if (said == request.min_tokens) {
    row->bias = row->request;
    row->text.SearchFromHere(request.stops);
  }
}

void Sampler::Collect(const StepInput& input) {
  stepping_.clear();
  if (!input.rows) {
    for (const auto& [number, row] : rows_) {
      if (row->finish == FinishReason::kNone) stepping_.push_back(row.get());
    }
    return;
  }
  const uint64_t call = ++calls_;
  for (int64_t i = 0; i < input.row_count; ++i) {
    const int64_t number = input.rows[i];
    Row& row = Find(number);
    if (row.finish != FinishReason::kNone) {
      throw std::invalid_argument("rows must not have ended, got row " + std::to_string(number));
    }
    if (row.last_call == call) {
      throw std::invalid_argument("rows must all be different, got row " + std::to_string(number) + " twice");
    }
    row.last_call = call;
    stepping_.push_back(&row);
  }
}

void Sampler::CheckShapes(const StepInput& input) const {
  const LogitsView& logits = input.logits;
  const auto count = static_cast<int64_t>(stepping_.size());
  if (!input.lines && logits.batch_size != count) {
    throw std::invalid_argument("logits must have one line per row (" + std::to_string(count) + "), got " +
                                std::to_string(logits.batch_size));
  }
  if (logits.vocab_size < vocab_size_) {
    throw std::invalid_argument("logits must have at least " + std::to_string(vocab_size_) + " columns, got " +
                                std::to_string(logits.vocab_size));
  }
  if (input.lines && input.line_count != count) {
    throw std::invalid_argument("logits_rows must have one entry per row, expected " + std::to_string(count) +
                                ", got " + std::to_string(input.line_count));
  }
  for (int64_t i = 0; input.lines && i < count; ++i) {
    if (input.lines[i] < 0 || input.lines[i] >= logits.batch_size) {
      throw std::invalid_argument("logits_rows must be in [0, " + std::to_string(logits.batch_size) + "), got " +
                                  std::to_string(input.lines[i]) + " at position " + std::to_string(i));
    }
  }
  const int64_t due = (vocab_size_ + 31) / 32;
  const bool shared = input.bitmask_rows == kOneLineForAll;
  if (input.bitmask && (input.bitmask_words != due || (!shared && input.bitmask_rows != count))) {
    const std::string words = std::to_string(due);
    const std::string rows = shared ? "" : std::to_string(input.bitmask_rows) + ", ";
    throw std::invalid_argument("token_bitmask must have the shape (" + words + ",) or (" + std::to_string(count) +
                                ", " + words + "), got (" + rows + std::to_string(input.bitmask_words) +
                                (shared ? ",)" : ")"));
  }
}

void Sampler::Prepare(const StepInput& input, StepOutput* output) {
  const size_t count = stepping_.size();
  int32_t asked = kNoLogprobs;
  for (const Row* row : stepping_) asked = std::max<int32_t>(asked, row->request->params.logprobs);
  const auto top = static_cast<size_t>(std::max(asked, 0));
  output->token_ids.resize(count);
  output->status.resize(count);
  output->finish.resize(count);
  output->text.resize(count);
  output->logprobs.resize(asked == kNoLogprobs ? 0 : count);
  output->top_token_ids.resize(count * top);
  output->top_logprobs.resize(count * top);
  output->top_count = static_cast<int32_t>(top);
  inputs_.assign(count, {});
  outputs_.assign(count, {});
  LogitsView view = input.logits;
  view.vocab_size = vocab_size_;  // what lies beyond is padding
  const int64_t bitmask_stride = input.bitmask_rows == kOneLineForAll ? 0 : input.bitmask_words;
  for (size_t i = 0; i < count; ++i) {
    const Row& row = *stepping_[i];
    RowInput& in = inputs_[i];
    in.logits = view.Row(input.lines ? input.lines[i] : static_cast<int64_t>(i));
    in.params = row.request->params;
    in.params.seed = row.seed;
    in.params.sequence_index = row.sequence_index;
    in.token_bitmask = input.bitmask ? input.bitmask + static_cast<int64_t>(i) * bitmask_stride : nullptr;
    in.bias_tokens = row.bias->bias_tokens.data();
    in.bias_values = row.bias->bias_values.data();
    in.bias_count = static_cast<int32_t>(row.bias->bias_tokens.size());
    in.history = row.history.entries().data();
    in.history_count = static_cast<int32_t>(row.history.entries().size());
    in.step = row.step;
    RowOutput& out = outputs_[i];
    out.token_ids = &output->token_ids[i];
    out.status = &output->status[i];
    if (asked != kNoLogprobs) out.logprobs = &output->logprobs[i];
    if (top) {
      out.top_token_ids = &output->top_token_ids[i * top];
      out.top_logprobs = &output->top_logprobs[i * top];
      out.top_capacity = output->top_count;
    }
  }
}

FinishReason Sampler::MoveOn(Row* row, int32_t token, Status status, std::string* text) {
  text->clear();
  if (status == Status::kOk) {
    Advance(row, token, text);
  } else {
    row->finish = FinishReason::kError;
    row->text.Finish(text);
  }
  return row->finish;
}

void Sampler::Step(const StepInput& input, StepOutput* output) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Collect(input);
  CheckShapes(input);
  Prepare(input, output);
  SampleRows(inputs_.data(), outputs_.data(), static_cast<int64_t>(stepping_.size()));
  for (size_t i = 0; i < stepping_.size(); ++i) {
    output->finish[i] = MoveOn(stepping_[i], output->token_ids[i], output->status[i], &output->text[i]);
  }
}

std::vector<Sampler::Draw> Sampler::Look(const StepInput& input) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Collect(input);
  CheckShapes(input);
  std::vector<Draw> draws;
  draws.reserve(stepping_.size());
  for (const Row* row : stepping_) {
    Draw& draw = draws.emplace_back();
    draw.row = row->number;
    draw.params = row->request->params;
    draw.params.seed = row->seed;
    draw.params.sequence_index = row->sequence_index;
    draw.step = row->step;
    draw.bias = row->bias;
    draw.history = row->history.entries();
  }
  return draws;
}

void Sampler::Take(const std::vector<Draw>& draws, const int32_t* token_ids, const Status* status, StepOutput* output) {
  const std::lock_guard<std::mutex> lock(mutex_);
  stepping_.clear();
  for (size_t i = 0; i < draws.size(); ++i) {
    Row& row = Find(draws[i].row);
    if (row.step != draws[i].step || row.finish != FinishReason::kNone) {
      throw std::invalid_argument("rows must not move while their tokens are drawn, got row " +
                                  std::to_string(draws[i].row));
    }
    if (status[i] == Status::kOk && (token_ids[i] < 0 || token_ids[i] >= vocab_size_)) {
      throw std::invalid_argument("token_ids must be in [0, " + std::to_string(vocab_size_) + "), got " +
                                  std::to_string(token_ids[i]) + " for row " + std::to_string(draws[i].row));
    }
    stepping_.push_back(&row);
  }
  output->finish.resize(draws.size());
  output->text.resize(draws.size());
  for (size_t i = 0; i < draws.size(); ++i) {
    output->finish[i] = MoveOn(stepping_[i], token_ids[i], status[i], &output->text[i]);
  }
}

Sampler::RowInfo Sampler::Info(int64_t row) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Row& r = Find(row);
  return {r.seed, r.sequence_index, r.step, r.finish, r.text.matched_stop(), r.text.shown_bytes()};
}

}  // namespace nexttoken
