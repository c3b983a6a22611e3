// A row's parameters, validated and rounded where they entered.
#pragma once

#include <cstdint>

#include "nexttoken/views.h"
#include "nexttoken/weight.h"

namespace nexttoken {

enum class LogprobsMode : uint8_t {
  kRaw,        // of the model's own logits: before the bitmask, temperature 1, the full vocabulary
  kProcessed,  // after bitmask, bias, penalties, temperature and cuts: what the token is drawn from
};

constexpr int kNoLogprobs = -1;
constexpr int kMaxTopLogprobs = 20;

struct RowParams {
  float temperature = 1.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  float repetition_penalty = 1.0f;
  double top_p = 1.0;
  double min_p = 0.0;
  int32_t top_k = 0;  // 0: off
  // Frequency and presence penalties count the prompt too (as TensorRT-LLM does); off: the output only.
  bool penalize_prompt = false;
  LogprobsMode logprobs_mode = LogprobsMode::kRaw;
  int8_t logprobs = kNoLogprobs;  // kNoLogprobs: none; 0: of the drawn token; k: and of the k best
  uint64_t seed = 0;
  uint32_t sequence_index = 0;

  NEXTTOKEN_HD bool IsGreedy() const { return temperature < kGreedyTemperature; }
  // By bits: it is asked where the caller's float environment is still on, and a subnormal penalty must not pass for 0.
  NEXTTOKEN_HD bool HasPenalties() const {
    return BitsOfFloat(presence_penalty) << 1 != 0 || BitsOfFloat(frequency_penalty) << 1 != 0 ||
           BitsOfFloat(repetition_penalty) != BitsOfFloat(1.0f);
  }
};

}  // namespace nexttoken
