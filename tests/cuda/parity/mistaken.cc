// The functions of sample_batch.h by the CPU kernels on host memory, with a mistake on purpose: the parity program must
// notice each. NEXTTOKEN_MISTAKE names it; `none` is no mistake, and must pass.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <unordered_map>

#include "nexttoken/philox.h"
#include "nexttoken/sample.h"
#include "nexttoken/sample_batch.h"

namespace nexttoken {
namespace {

bool Mistaken(const char* mistake) {
  const char* asked = std::getenv("NEXTTOKEN_MISTAKE");
  return asked && std::strcmp(asked, mistake) == 0;
}

double RealAt(const Reals& reals, int64_t row) {
  if (!reals.data) return reals.value;
  if (Mistaken("parameters of row 0")) row = 0;
  const int64_t at = row * reals.stride;
  return reals.is_float64 ? static_cast<const double*>(reals.data)[at]
                          : static_cast<double>(static_cast<const float*>(reals.data)[at]);
}

struct Number {
  uint64_t bits;
  bool is_negative;
};

Number IntegerAt(const Integers& integers, int64_t row) {
  const bool is_unsigned = integers.type == Integers::Type::kUInt64;
  if (!integers.data) return {integers.value, !is_unsigned && static_cast<int64_t>(integers.value) < 0};
  const int64_t at = row * integers.stride;
  int64_t value;
  if (integers.type == Integers::Type::kInt32) {
    value = static_cast<const int32_t*>(integers.data)[at];
    if (Mistaken("int32 not sign-extended")) value &= 0xffffffff;
  } else {
    value = static_cast<const int64_t*>(integers.data)[at];
  }
  return {static_cast<uint64_t>(value), !is_unsigned && value < 0};
}

struct HostRow {
  RowInput input;
  std::vector<HistoryEntry> entries;
  bool is_bad = false;
};

void Count(const TokenMatrix& matrix, int64_t row, int32_t vocab, bool is_output, HostRow* host) {
  std::unordered_map<int32_t, size_t> places;
  for (size_t i = 0; i < host->entries.size(); ++i) places[host->entries[i].token] = i;
  for (int64_t i = 0; i < matrix.length; ++i) {
    const int64_t at = row * matrix.row_stride + i;
    const int64_t token = matrix.is_int64 ? static_cast<const int64_t*>(matrix.data)[at]
                                          : int64_t{static_cast<const int32_t*>(matrix.data)[at]};
    if (token == -1) continue;
    if (token < 0 || token >= vocab) {
      host->is_bad = !Mistaken("tokens out of range");
      continue;
    }
    const auto [found, is_new] = places.emplace(static_cast<int32_t>(token), host->entries.size());
    if (is_new) host->entries.push_back({static_cast<int32_t>(token), 0, 0});
    HistoryEntry& entry = host->entries[found->second];
    ++(is_output ? entry.output_count : entry.prompt_count);
  }
}

bool ReadParameters(const BatchInput& input, int64_t row, RowInput* in) {
  RowParams& p = in->params;
  bool is_bad = false;
  const auto real = [&](const Reals& reals, double low, double high) {
    const double value = RealAt(reals, row);
    if (reals.data && !reals.is_float64) low = static_cast<float>(low), high = static_cast<float>(high);
    if (!(value >= low && value <= high)) is_bad = true;
    return value;
  };
  constexpr double kMax = 3.4028234663852886e38;
  p.temperature = static_cast<float>(real(input.temperature, 0, 1e30));
  p.presence_penalty = static_cast<float>(real(input.presence_penalty, -kMax, kMax));
  p.frequency_penalty = static_cast<float>(real(input.frequency_penalty, -kMax, kMax));
  p.repetition_penalty = static_cast<float>(real(input.repetition_penalty, 1e-6, 1e6));
  p.top_p = real(input.top_p, 0, 1);
  p.min_p = real(input.min_p, 0, 1);
  const Number top_k = IntegerAt(input.top_k, row), index = IntegerAt(input.sequence_index, row);
  const Number step = IntegerAt(input.step, row), logprobs = IntegerAt(input.logprobs, row);
  p.top_k = static_cast<int32_t>(std::min<uint64_t>(top_k.bits, std::numeric_limits<int32_t>::max()));
  p.seed = IntegerAt(input.seed, row).bits;
  p.sequence_index = static_cast<uint32_t>(index.bits);
  in->step = step.bits;
  in->n = input.n;
  p.penalize_prompt = input.penalize_prompt;
  p.logprobs_mode = input.logprobs_mode;
  is_bad = is_bad || (top_k.is_negative && input.top_k.data) || (step.is_negative && input.step.data);
  is_bad = is_bad || index.bits > (uint64_t{1} << 32) - static_cast<uint64_t>(input.n);
  is_bad = is_bad || (logprobs.bits > kMaxTopLogprobs && logprobs.bits != ~uint64_t{0});
  p.logprobs = static_cast<int8_t>(logprobs.bits);
  return is_bad;
}

void ReadRow(const BatchInput& input, int64_t row, HostRow* host) {
  RowInput& in = host->input;
  in.logits = input.logits.Row(row);
  host->is_bad = ReadParameters(input, row, &in);
  if (input.token_bitmask) in.token_bitmask = input.token_bitmask + row * input.token_bitmask_stride;
  if (input.bias.begin) {
    const int64_t begin = input.bias.begin[row * input.bias.stride];
    in.bias_tokens = input.bias_tokens + begin;
    in.bias_values = input.bias_values + begin;
    in.bias_count = static_cast<int32_t>(input.bias.end[row * input.bias.stride] - begin);
    if (in.bias_count && Mistaken("last bias missed")) --in.bias_count;
  }
  if (input.history.begin) {
    const HistoryEntry* entries = input.history_entries;
    host->entries.assign(entries + input.history.begin[row * input.history.stride],
                         entries + input.history.end[row * input.history.stride]);
  }
  Count(input.prompt, row, in.logits.vocab_size, false, host);
  Count(input.output, row, in.logits.vocab_size, true, host);
  in.history = host->entries.data();
  in.history_count = static_cast<int32_t>(host->entries.size());
}

void SpoilInput(int64_t row, RowInput* in) {
  RowParams& p = in->params;
  if (Mistaken("penalty missed")) p.presence_penalty = 0.0f;
  if (Mistaken("rank off by one") && p.top_k > 0) ++p.top_k;
  if (Mistaken("wrong step")) ++in->step;
  if (Mistaken("high half of the step lost")) in->step &= 0xffffffff;
  if (Mistaken("batch decides")) p.seed += row >= 3;
  if (Mistaken("tail dropped")) p.min_p = std::max(p.min_p, 0x1p-36);
  if (Mistaken("top_p in float32")) p.top_p = static_cast<double>(static_cast<float>(p.top_p));
  if (Mistaken("other logprobs")) {
    p.logprobs_mode = p.logprobs_mode == LogprobsMode::kRaw ? LogprobsMode::kProcessed : LogprobsMode::kRaw;
  }
  const bool has_lists = in->bias_count > 0 || in->history_count > 0;
  if (Mistaken("last token missed") && in->logits.vocab_size > 1 && !has_lists) --in->logits.vocab_size;
}

float LogitAt(const RowView& view, int32_t token) {
  const char* item = static_cast<const char*>(view.data) + token * view.stride * ItemSize(view.dtype);
  if (view.dtype == DType::kFloat32) {
    float value;
    std::memcpy(&value, item, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, item, sizeof bits);
  return view.dtype == DType::kFloat16 ? WidenFloat16(bits) : WidenBFloat16(bits);
}

// Of tokens that tie at a cut, the one with the higher id is kept.
void TurnTies(const RowInput& in, const RowOutput& out) {
  if (!out.weights) return;
  for (int32_t dropped = in.logits.vocab_size - 1; dropped > 0; --dropped) {
    if (out.weights[dropped]) continue;
    for (int32_t kept = dropped - 1; kept >= 0; --kept) {
      if (!out.weights[kept] || LogitAt(in.logits, kept) != LogitAt(in.logits, dropped)) continue;
      std::swap(out.weights[kept], out.weights[dropped]);
      return;
    }
  }
}

void SpoilOutput(const RowInput& in, const RowOutput& out) {
  const uint64_t bits = DrawBits(in.params.seed, in.params.sequence_index, in.step);
  // The token that reaches the target, where it is the one that exceeds it.
  if (Mistaken("boundary missed") && bits << 2 == 0 && out.token_ids && out.token_ids[0] > 0) --out.token_ids[0];
  if (Mistaken("ties turned") && in.logits.vocab_size < 1000) TurnTies(in, out);
  if (Mistaken("same draw for all n") && out.token_ids) std::fill_n(out.token_ids, in.n, out.token_ids[0]);
  if (Mistaken("status unwritten") && out.status) std::memset(out.status, 0xa5, sizeof(Status));
  if (Mistaken("mass off by one") && out.mass && *out.mass > kMaxWeight * 3) ++*out.mass;
  if (Mistaken("coarse logprobs") && out.logprobs) out.logprobs[0] += 2e-5f;
  if (Mistaken("top entries not padded") && out.top_token_ids) {
    for (int i = std::max<int>(0, in.params.logprobs); i < out.top_capacity; ++i) out.top_token_ids[i] = 0;
  }
}

void WriteBadRow(const RowInput& in, const RowOutput& out) {
  if (out.status) *out.status = Mistaken("bad rows not told") ? Status::kOk : Status::kBadParameter;
  if (out.mass) *out.mass = 0;
  if (out.weights) std::fill_n(out.weights, in.logits.vocab_size, uint64_t{0});
  for (int32_t i = 0; i < in.n; ++i) {
    if (out.token_ids) out.token_ids[i] = kNoTokenId;
    if (out.logprobs) out.logprobs[i] = NAN;
  }
  for (int32_t i = 0; i < out.top_capacity; ++i) {
    if (out.top_token_ids) out.top_token_ids[i] = kNoTokenId;
    if (out.top_logprobs) out.top_logprobs[i] = -HUGE_VALF;
  }
}

template <class T>
T* At(T* all, int64_t row, int64_t length) {
  return all ? all + row * length : nullptr;
}

}  // namespace

// Figures as a device's plan might have them; nothing here reads them, but for one mistake.
BatchPlan PlanBatch(int64_t batch_size, int64_t vocab_size, const DeviceLimits& limits) {
  const auto chunks = static_cast<int32_t>((vocab_size + 255) / 256);
  const bool wide = batch_size * 2 <= limits.multiprocessors;
  const int32_t tiles = std::max(1, std::min(wide ? 8 : 2, chunks / 4));
  const bool fits = (chunks + tiles - 1) / tiles <= limits.shared_memory_bytes / 1024;
  return {wide ? 512 : 256, tiles, (chunks + tiles - 1) / tiles, fits && limits.compute_capability >= 90};
}

size_t BatchWorkspaceBytes(const BatchInput& input, const BatchPlan& plan) {
  return static_cast<size_t>(input.logits.batch_size * plan.tiles * 64);
}

int SampleBatch(const BatchInput& input, const BatchOutput& output, const BatchPlan& plan, void* workspace, void*) {
  std::memset(workspace, 1, BatchWorkspaceBytes(input, plan) + (Mistaken("workspace overrun") ? 8 : 0));
  for (int64_t r = 0; r < input.logits.batch_size; ++r) {
    HostRow host;
    ReadRow(input, r, &host);
    RowOutput out;
    out.token_ids = At(output.token_ids, r, input.n);
    out.status = At(output.status, r, 1);
    out.logprobs = At(output.logprobs, r, input.n);
    out.top_token_ids = At(output.top_token_ids, r, output.top_capacity);
    out.top_logprobs = At(output.top_logprobs, r, output.top_capacity);
    out.top_capacity = output.top_capacity;
    out.weights = At(output.weights, r, input.logits.vocab_size);
    out.mass = At(output.mass, r, 1);
    if (host.is_bad) {
      WriteBadRow(host.input, out);
      continue;
    }
    RowInput in = host.input;
    SpoilInput(r, &in);
    if (Mistaken("cluster wrong") && plan.cluster && plan.tiles > 2) ++in.params.seed;
    SampleRows(&in, &out, 1);
    SpoilOutput(in, out);
    if (Mistaken("plan decides") && plan.tiles == 2 && out.logprobs) {
      out.logprobs[0] = std::nextafter(out.logprobs[0], 0.0f);
    }
  }
  return 0;
}

}  // namespace nexttoken
