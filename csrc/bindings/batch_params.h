// The parameters of a batch as Python hands them over: shared by the bindings that run rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "float_environment.h"
#include "host_lists.h"
#include "nexttoken/sample.h"

namespace nexttoken {

// The parameters of a batch, prepared once: checked in Python (params.py), rounded here, under the contract's float
// environment. Immutable, so several threads may sample with one.
class BatchParams {
 public:
  BatchParams(const Array<double>& temperature, const Array<double>& top_p, const Array<int64_t>& top_k,
              const Array<double>& min_p, const Array<double>& presence_penalty, const Array<double>& frequency_penalty,
              const Array<double>& repetition_penalty, const Array<uint64_t>& seed,
              const Array<uint32_t>& sequence_index, const Array<uint64_t>& step, const Array<int32_t>& bias_tokens,
              const Array<double>& bias_values, const Array<int64_t>& bias_offsets, const Array<int32_t>& prompt_tokens,
              const Array<int64_t>& prompt_offsets, const Array<int32_t>& output_tokens,
              const Array<int64_t>& output_offsets, const std::optional<Array<int32_t>>& token_bitmask,
              bool penalize_prompt, int n, int logprobs, bool processed, int64_t batch_size)
      : bias_offsets_{bias_offsets},
        bias_tokens_(bias_tokens.data(), bias_tokens.data() + bias_tokens.size()),
        token_bitmask_(token_bitmask),
        n_(n),
        logprobs_(logprobs) {
    const FloatEnvironment environment;
    for (pybind11::ssize_t i = 0; i < bias_values.size(); ++i) {
      bias_values_.push_back(static_cast<float>(bias_values.data()[i]));
    }
    const HostLists prompts{prompt_offsets};
    const HostLists outputs{output_offsets};
    for (int64_t row = 0; row < batch_size; ++row) {
      RowParams p;
      p.temperature = static_cast<float>(At(temperature, row));
      p.top_p = At(top_p, row);
      p.min_p = At(min_p, row);
      p.top_k = static_cast<int32_t>(std::min<int64_t>(At(top_k, row), kMaxVocabSize));
      p.presence_penalty = static_cast<float>(At(presence_penalty, row));
      p.frequency_penalty = static_cast<float>(At(frequency_penalty, row));
      p.repetition_penalty = static_cast<float>(At(repetition_penalty, row));
      p.seed = At(seed, row);
      p.sequence_index = At(sequence_index, row);
      p.penalize_prompt = penalize_prompt;
      p.logprobs = static_cast<int8_t>(logprobs);
      p.logprobs_mode = processed ? LogprobsMode::kProcessed : LogprobsMode::kRaw;
      rows_.push_back(p);
      steps_.push_back(At(step, row));
      histories_.emplace_back();
      if (p.HasPenalties()) Count(row, prompts, prompt_tokens, outputs, output_tokens, &histories_.back());
    }
  }

  RowInput Input(const LogitsView& logits, int64_t row) const {
    const size_t i = static_cast<size_t>(row);
    RowInput input;
    input.logits = logits.Row(row);
    input.params = rows_[i];
    if (token_bitmask_) {
      input.token_bitmask =
          token_bitmask_->data() + (token_bitmask_->shape(0) == 1 ? 0 : row) * token_bitmask_->shape(1);
    }
    input.bias_tokens = bias_tokens_.data() + bias_offsets_.Begin(row);
    input.bias_values = bias_values_.data() + bias_offsets_.Begin(row);
    input.bias_count = static_cast<int32_t>(bias_offsets_.End(row) - bias_offsets_.Begin(row));
    input.history = histories_[i].entries().data();
    input.history_count = static_cast<int32_t>(histories_[i].entries().size());
    input.step = steps_[i];
    input.n = n_;
    return input;
  }

  int n() const { return n_; }
  int logprobs() const { return logprobs_; }
  int64_t batch_size() const { return static_cast<int64_t>(rows_.size()); }

 private:
  std::vector<RowParams> rows_;
  std::vector<uint64_t> steps_;
  std::vector<History> histories_;
  HostLists bias_offsets_;
  std::vector<int32_t> bias_tokens_;
  std::vector<float> bias_values_;
  std::optional<Array<int32_t>> token_bitmask_;
  int n_;
  int logprobs_;
};

}  // namespace nexttoken
