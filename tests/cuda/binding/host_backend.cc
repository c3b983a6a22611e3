// sample_batch.h in host memory: each row is put together for the CPU's kernel. Stands in for the kernels where the
// binding is what is tested.
#include <cfloat>
#include <cmath>
#include <cstring>
#include <vector>

#include "float_environment.h"
#include "nexttoken/sample.h"
#include "nexttoken/sample_batch.h"
#include "recording.h"

namespace nexttoken {
namespace {

double At(const Reals& values, int64_t row) {
  if (!values.data) return values.value;
  const int64_t i = row * values.stride;
  return values.is_float64 ? static_cast<const double*>(values.data)[i]
                           : double{static_cast<const float*>(values.data)[i]};
}

// Sign extended to 128 bits.
__extension__ using Wide = __int128;

Wide At(const Integers& values, int64_t row) {
  if (!values.data) return values.value;
  const int64_t i = row * values.stride;
  switch (values.type) {
    case Integers::Type::kInt32:
      return static_cast<const int32_t*>(values.data)[i];
    case Integers::Type::kInt64:
      return static_cast<const int64_t*>(values.data)[i];
    default:
      return static_cast<const uint64_t*>(values.data)[i];
  }
}

bool Between(double value, double low, double high) {
  return value >= low && value <= high;  // not for NaN
}

// One row's parameters; false where one is out of range.
bool ReadParams(const BatchInput& in, int64_t row, RowInput* out) {
  const double temperature = At(in.temperature, row);
  const double presence = At(in.presence_penalty, row);
  const double frequency = At(in.frequency_penalty, row);
  const double repetition = At(in.repetition_penalty, row);
  const Wide top_k = At(in.top_k, row);
  const Wide index = At(in.sequence_index, row);
  const Wide step = At(in.step, row);
  RowParams& p = out->params;
  p.top_p = At(in.top_p, row);
  p.min_p = At(in.min_p, row);
  const double largest = double{FLT_MAX};
  if (!Between(temperature, 0, 1e30) || !Between(p.top_p, 0, 1) || !Between(p.min_p, 0, 1) || top_k < 0 ||
      !Between(presence, -largest, largest) || !Between(frequency, -largest, largest) ||
      !Between(repetition, 1e-6, 1e6) || index < 0 || index + in.n > (Wide{1} << 32) || step < 0) {
    return false;
  }
  p.temperature = static_cast<float>(temperature);
  p.presence_penalty = static_cast<float>(presence);
  p.frequency_penalty = static_cast<float>(frequency);
  p.repetition_penalty = static_cast<float>(repetition);
  p.top_k = static_cast<int32_t>(top_k < kMaxVocabSize ? top_k : Wide{kMaxVocabSize});
  p.penalize_prompt = in.penalize_prompt;
  p.logprobs_mode = in.logprobs_mode;
  p.logprobs = static_cast<int8_t>(static_cast<int64_t>(At(in.logprobs, row)));
  p.seed = static_cast<uint64_t>(At(in.seed, row));
  p.sequence_index = static_cast<uint32_t>(index);
  out->step = static_cast<uint64_t>(step);
  out->n = in.n;
  return true;
}

void AddEntries(const BatchInput& in, int64_t row, History* history) {
  if (!in.history.begin) return;
  const int64_t at = row * in.history.stride;
  for (int64_t i = in.history.begin[at]; i < in.history.end[at]; ++i) {
    const HistoryEntry& entry = in.history_entries[i];
    for (uint32_t k = 0; k < entry.prompt_count; ++k) history->AddPrompt(entry.token);
    for (uint32_t k = 0; k < entry.output_count; ++k) history->AddOutput(entry.token);
  }
}

// False for a token id that is none.
template <class Add>
bool Count(const TokenMatrix& tokens, int64_t row, int64_t vocab_size, Add add) {
  for (int64_t i = 0; tokens.data && i < tokens.length; ++i) {
    const int64_t at = row * tokens.row_stride + i;
    const int64_t token = tokens.is_int64 ? static_cast<const int64_t*>(tokens.data)[at]
                                          : int64_t{static_cast<const int32_t*>(tokens.data)[at]};
    if (token < -1 || token >= vocab_size) return false;
    if (token >= 0) add(static_cast<int32_t>(token));
  }
  return true;
}

RowOutput OutputOf(const BatchOutput& out, const BatchInput& in, int64_t row) {
  RowOutput r;
  const auto of = [row](auto* begin, int64_t length) { return begin ? begin + row * length : nullptr; };
  r.token_ids = of(out.token_ids, in.n);
  r.status = of(out.status, 1);
  r.logprobs = of(out.logprobs, in.n);
  r.top_token_ids = of(out.top_token_ids, out.top_capacity);
  r.top_logprobs = of(out.top_logprobs, out.top_capacity);
  r.top_capacity = out.top_capacity;
  r.weights = of(out.weights, in.logits.vocab_size);
  r.mass = of(out.mass, 1);
  return r;
}

void Refuse(const RowOutput& out, const BatchInput& in) {
  if (out.status) *out.status = Status::kBadParameter;
  for (int32_t i = 0; i < in.n; ++i) {
    if (out.token_ids) out.token_ids[i] = kNoTokenId;
    if (out.logprobs) out.logprobs[i] = NAN;
  }
  for (int32_t i = 0; i < out.top_capacity; ++i) {
    if (out.top_token_ids) out.top_token_ids[i] = kNoTokenId;
    if (out.top_logprobs) out.top_logprobs[i] = -INFINITY;
  }
  if (out.weights) std::memset(out.weights, 0, sizeof(uint64_t) * static_cast<size_t>(in.logits.vocab_size));
  if (out.mass) *out.mass = 0;
}

}  // namespace

BatchPlan PlanBatch(int64_t, int64_t, const DeviceLimits&) {
  return {32, 1, 1, false, false};
}

size_t BatchWorkspaceBytes(const BatchInput&, const BatchPlan&) {
  return 300;
}

int SampleBatch(const BatchInput& input, const BatchOutput& output, const BatchPlan&, void* workspace, void* stream) {
  Record(Queued::kStep, stream, 0);
  if (const int error = TakeFailure(Queued::kStep)) return error;
  const FloatEnvironment environment;
  std::memset(workspace, 0xa5, 300);  // all of it may be written
  History history;
  for (int64_t row = 0; row < input.logits.batch_size; ++row) {
    const RowOutput out = OutputOf(output, input, row);
    RowInput in;
    in.logits = input.logits.Row(row);
    history.Clear();
    AddEntries(input, row, &history);
    const int64_t vocab = input.logits.vocab_size;
    if (!ReadParams(input, row, &in) ||
        !Count(input.prompt, row, vocab, [&](int32_t token) { history.AddPrompt(token); }) ||
        !Count(input.output, row, vocab, [&](int32_t token) { history.AddOutput(token); })) {
      Refuse(out, input);
      continue;
    }
    in.history = history.entries().data();
    in.history_count = static_cast<int32_t>(history.entries().size());
    if (input.bias.begin) {
      const int64_t at = row * input.bias.stride;
      in.bias_tokens = input.bias_tokens + input.bias.begin[at];
      in.bias_values = input.bias_values + input.bias.begin[at];
      in.bias_count = static_cast<int32_t>(input.bias.end[at] - input.bias.begin[at]);
    }
    if (input.token_bitmask) in.token_bitmask = input.token_bitmask + row * input.token_bitmask_stride;
    SampleRows(&in, &out, 1);
  }
  return 0;
}

int UploadToDevice(void* device, const void* host, size_t bytes, void* stream) {
  Record(Queued::kUpload, stream, static_cast<int64_t>(bytes));
  if (const int error = TakeFailure(Queued::kUpload)) return error;
  std::memcpy(device, host, bytes);
  return 0;
}

}  // namespace nexttoken
