// One decoding step: logits to token ids (sample) or to the exact distribution they are drawn from (distribution).
//
// The drawn token is a pure function of the row's logits, its parameters, its history, seed, sequence index and step:
// not of the batch, the row's place in it, the number of threads or the instruction set. docs/sampling-contract.md is
// the definition, python/nexttoken/reference.py the same in a page of Python; every kernel equals them bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nexttoken/history.h"
#include "nexttoken/params.h"
#include "nexttoken/status.h"
#include "nexttoken/views.h"

namespace nexttoken {

// All that decides one row. Pointers are borrowed for the call. Preconditions, checked by the caller: 1 <= vocab_size
// <= kMaxVocabSize, token ids in [0, vocab_size), bias ids distinct, sequence_index + n <= 2^32, logprobs <=
// kMaxTopLogprobs.
struct RowInput {
  RowView logits;
  RowParams params;
  const int32_t* token_bitmask = nullptr;  // (vocab_size + 31) / 32 words, or none
  const int32_t* bias_tokens = nullptr;    // bias_count of each
  const float* bias_values = nullptr;
  int32_t bias_count = 0;
  int32_t history_count = 0;
  const HistoryEntry* history = nullptr;
  uint64_t step = 0;
  int32_t n = 1;  // draws: sequence indices params.sequence_index + 0 .. n - 1
};

// Where one row's results go; a null pointer is a result that is not wanted.
struct RowOutput {
  int32_t* token_ids = nullptr;      // [n]; kNoTokenId where status is not kOk
  Status* status = nullptr;          // [1]
  float* logprobs = nullptr;         // [n], of the drawn tokens; NaN where status is not kOk
  int32_t* top_token_ids = nullptr;  // [top_capacity], by (logit descending, id ascending), then kNoTokenId
  float* top_logprobs = nullptr;     // [top_capacity], then -inf
  int32_t top_capacity = 0;          // >= params.logprobs
  uint64_t* weights = nullptr;       // [vocab_size], 0 where cut; a greedy row has 2^42 at its token
  uint64_t* mass = nullptr;          // [1], the sum of the weights; 0 where status is not kOk
};

// Scratch for one row at a time, of no meaning between calls.
size_t WorkspaceBytes(int32_t vocab_size);

// One CPU target's kernel: does not allocate, throw or take locks. The float environment must be the default one
// (FloatEnvironment in cpu/float_environment.h); workspace is aligned to 64 bytes.
using RowKernel = void (*)(const RowInput& input, const RowOutput& output, void* workspace);

// Runs the active CPU target over rows, on the thread pool, in any order. The float environment is taken care of.
void SampleRows(const RowInput* inputs, const RowOutput* outputs, int64_t rows);

}  // namespace nexttoken
