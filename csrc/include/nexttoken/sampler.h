// Rows that come and go, and what each must remember between steps: its sparse history, its step, its seed, its text.
//
// A row is one sequence being generated. Step() draws one token for each row asked for and moves the row on: history,
// penalties, stop tokens, stop strings and limits are then up to date, and a row that has ended says why.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "nexttoken/history.h"
#include "nexttoken/params.h"
#include "nexttoken/sample.h"
#include "nexttoken/stop.h"

namespace nexttoken {

// What belongs to a request; shared by its rows, never changed.
struct Request {
  RowParams params;  // seed and sequence_index are the row's own
  std::vector<int32_t> bias_tokens;
  std::vector<float> bias_values;
  std::vector<int32_t> stop_tokens;            // beside the model's own ends of text
  std::shared_ptr<const StopAutomaton> stops;  // null: none
  int64_t max_tokens = -1;                     // -1: no limit
  // Until a row has this many tokens, ends of text and stop tokens are banned (a bias of -inf) and stop strings are
  // not looked for; text before that is never part of a match.
  int64_t min_tokens = 0;
  bool ignore_eos = false;  // the model's ends of text are tokens like any other
};

enum class FinishReason : uint8_t {
  kNone,
  kStop,    // an end of text, a stop token or a stop string
  kLength,  // max_tokens
  kError,   // the row's logits were bad: see its status
};

// Results of one step; line i belongs to rows[i]. Pointers may be null where the result is not wanted.
struct StepOutput {
  int32_t* token_ids;      // [rows]
  Status* status;          // [rows]
  FinishReason* finish;    // [rows]
  float* logprobs;         // [rows]; NaN for rows that did not ask
  int32_t* top_token_ids;  // [rows, top_capacity]
  float* top_logprobs;     // [rows, top_capacity]
  int32_t top_capacity;
  std::vector<std::string>* text;  // [rows]: text that became safe to show; UTF-8
};

// Thread-safe: calls from several threads take turns.
class Sampler {
 public:
  // `token_bytes` holds the exact bytes of each token, or is empty: then there is no text and no stop string. Tokens
  // beyond its end have no bytes.
  Sampler(int32_t vocab_size, std::vector<std::string> token_bytes, std::vector<int32_t> eos_tokens,
          bool strip_leading_space);

  // All that follow throw std::invalid_argument for a row that does not exist, and leave everything as it was.

  // Token ids must be in [0, vocab_size). `output` is what the row has said already (a row resumed): it counts as
  // steps, in the history and in the text.
  int64_t Add(std::shared_ptr<const Request> request, const std::vector<int32_t>& prompt,
              const std::vector<int32_t>& output, uint64_t seed, uint32_t sequence_index);

  // n further rows that continue as `row` would, at the sequence indices sequence_index .. sequence_index + n - 1.
  std::vector<int64_t> Fork(int64_t row, int32_t n, uint32_t sequence_index);

  void Remove(int64_t row);

  // Rows in the order they were added, the finished ones (not yet removed) left out.
  std::vector<int64_t> ActiveRows() const;

  // The most top logprobs that any of `rows` asks for; kNoLogprobs where none asks for any.
  int32_t Logprobs(const std::vector<int64_t>& rows) const;

  // One token for each of rows (all different, none finished). Line lines[i] of the logits serves rows[i]; several rows
  // may share one. bitmask: (vocab_size + 31) / 32 words a row, the rows bitmask_stride words apart (0: one for all),
  // or null.
  void Step(const LogitsView& logits, const std::vector<int64_t>& rows, const std::vector<int64_t>& lines,
            const int32_t* bitmask, int64_t bitmask_stride, const StepOutput& output);

  struct RowInfo {
    uint64_t seed;
    uint32_t sequence_index;
    uint64_t step;
    FinishReason finish;
    int32_t matched_stop;  // index of the stop string that ended the row, or -1
  };
  RowInfo Info(int64_t row) const;

  int32_t vocab_size() const { return vocab_size_; }
  bool has_text() const { return !token_bytes_.empty(); }

 private:
  struct Row {
    std::shared_ptr<const Request> request;
    uint64_t seed = 0;
    uint64_t step = 0;
    uint32_t sequence_index = 0;
    FinishReason finish = FinishReason::kNone;
    History history;  // empty where no penalty is on
    TextStream text;
    // The bias list in use: with bans until min_tokens, then the request's own.
    std::shared_ptr<const Request> bias;
    uint64_t last_call = 0;  // the call of Step that it was last part of
  };

  Row& Find(int64_t row);
  const Row& Find(int64_t row) const { return const_cast<Sampler*>(this)->Find(row); }
  bool EndsText(const Row& row, int32_t token) const;
  std::shared_ptr<const Request> WithBans(const Request& request) const;
  // Moves the row on by one token; appends to `text` what became safe to show.
  void Advance(Row* row, int32_t token, std::string* text);

  const int32_t vocab_size_;
  const std::vector<std::string> token_bytes_;
  const std::vector<int32_t> eos_tokens_;  // ascending
  const bool strip_leading_space_;

  mutable std::mutex mutex_;
  std::unordered_map<int64_t, std::unique_ptr<Row>> rows_;
  int64_t next_row_ = 0;
  uint64_t calls_ = 0;
  std::vector<Row*> stepping_;  // of the step in progress; kept for their memory
  std::vector<RowInput> inputs_;
  std::vector<RowOutput> outputs_;
};

}  // namespace nexttoken
