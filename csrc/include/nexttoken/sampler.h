// Rows that come and go, and what each must remember between steps: its sparse history, its step, its seed, its text.
//
// A row is one sequence being generated. Step() draws one token for each row asked for and moves the row on: history,
// penalties, stop tokens, stop strings and limits are then up to date, and a row that has ended says why.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
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

// No count of rows: a bitmask of 0 rows has no line that could serve anything.
constexpr int64_t kOneLineForAll = -1;

// What one step is asked for. Pointers are borrowed for the call.
struct StepInput {
  LogitsView logits;              // at least the sampler's vocab_size columns; those beyond are padding
  const int64_t* rows = nullptr;  // row_count, all different, none finished; null: all that have not ended, in order
  int64_t row_count = 0;
  const int64_t* lines = nullptr;  // line_count: lines[i] of the logits serves the i-th row; null: line i does
  int64_t line_count = 0;
  const int32_t* bitmask = nullptr;       // [bitmask_rows, bitmask_words], or null
  int64_t bitmask_rows = kOneLineForAll;  // one for each row; kOneLineForAll: the bitmask is [bitmask_words]
  int64_t bitmask_words = 0;              // (vocab_size + 31) / 32
};

// What one step drew; entry i belongs to the i-th row asked for. Used again for steps of the same size, it allocates
// nothing.
struct StepOutput {
  std::vector<int32_t> token_ids;      // [rows]
  std::vector<Status> status;          // [rows]
  std::vector<FinishReason> finish;    // [rows]
  std::vector<std::string> text;       // [rows]: text that became safe to show; UTF-8
  std::vector<float> logprobs;         // [rows], NaN for rows that did not ask; empty where none did
  std::vector<int32_t> top_token_ids;  // [rows, top_count]
  std::vector<float> top_logprobs;     // [rows, top_count]
  int32_t top_count = 0;               // the most that any of the rows asked for
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

  // One token for each row asked for. Throws std::invalid_argument for anything that StepInput does not allow.
  void Step(const StepInput& input, StepOutput* output);

  // A step whose tokens are drawn elsewhere, on a device: Look() says from what, Take() moves the rows on. Of the
  // logits only the shape is looked at, and no row moves by looking.
  struct Draw {
    int64_t row;
    RowParams params;  // with the row's seed and sequence_index
    uint64_t step;
    std::shared_ptr<const Request> bias;  // its list is the one in use
    std::vector<HistoryEntry> history;    // empty where no penalty is on
  };
  // Throws as Step() does.
  std::vector<Draw> Look(const StepInput& input);
  // `token_ids` and `status` [draws] are what was drawn; into `output` go `finish` and `text`. Throws
  // std::invalid_argument, and moves no row, where one of them has moved, ended or left since Look(), or a token of a
  // row that is kOk is outside the vocabulary.
  void Take(const std::vector<Draw>& draws, const int32_t* token_ids, const Status* status, StepOutput* output);

  struct RowInfo {
    uint64_t seed;
    uint32_t sequence_index;
    uint64_t step;
    FinishReason finish;
    int32_t matched_stop;  // index of the stop string that the text of the row, which has ended, is cut at; or -1
    // Of the bytes of the row's tokens, `output` of Add included, those that its text so far covers, as in stop.h. An
    // end of text or stop token that ended the row has no bytes. 0 where there is no text.
    uint64_t shown_bytes;
  };
  RowInfo Info(int64_t row) const;

  int32_t vocab_size() const { return vocab_size_; }
  bool has_text() const { return !token_bytes_.empty(); }

 private:
  struct Row {
    int64_t number = 0;
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
  // The rows of a step into stepping_; throws for those that do not exist, have ended or come twice.
  void Collect(const StepInput& input);
  // Throws where logits, lines or bitmask do not fit the rows in stepping_.
  void CheckShapes(const StepInput& input) const;
  // What the kernel reads and writes for each row in stepping_, into inputs_ and outputs_.
  void Prepare(const StepInput& input, StepOutput* output);
  // Moves the row on by one token; appends to `text` what became safe to show.
  void Advance(Row* row, int32_t token, std::string* text);
  // Moves the row on by what was drawn for it, or ends it. Returns where it stands, with `text` as in StepOutput.
  FinishReason MoveOn(Row* row, int32_t token, Status status, std::string* text);

  const int32_t vocab_size_;
  const std::vector<std::string> token_bytes_;
  const std::vector<int32_t> eos_tokens_;  // ascending
  const bool strip_leading_space_;

  mutable std::mutex mutex_;
  std::map<int64_t, std::unique_ptr<Row>> rows_;  // by number: in the order they were added
  int64_t next_row_ = 0;
  uint64_t calls_ = 0;
  std::vector<Row*> stepping_;  // of the step in progress; kept for their memory
  std::vector<RowInput> inputs_;
  std::vector<RowOutput> outputs_;
};

}  // namespace nexttoken
