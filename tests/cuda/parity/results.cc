#include "results.h"

#include <cmath>
#include <cstdio>

#include "naive.h"

namespace nexttoken::parity {
namespace {

template <class T>
std::vector<T> TakeParts(const std::vector<T>& all, int32_t length, const std::vector<size_t>& which) {
  std::vector<T> taken;
  if (all.empty()) return taken;
  for (const size_t row : which) {
    const auto first = all.begin() + static_cast<int64_t>(row) * length;
    taken.insert(taken.end(), first, first + length);
  }
  return taken;
}

std::string Told(const char* what, int64_t at, double got, double wanted) {
  char text[160];
  std::snprintf(text, sizeof text, "%s[%lld] is %.9g, must be %.9g", what, static_cast<long long>(at), got, wanted);
  return text;
}

// The first place where row `row` of two lists differs.
template <class T, class Same>
std::string FirstDifference(const char* what, const std::vector<T>& got, const std::vector<T>& wanted, int32_t length,
                            size_t row, Same same) {
  if (got.empty() || wanted.empty()) return "";
  const size_t start = row * static_cast<size_t>(length);
  for (size_t i = start; i < start + static_cast<size_t>(length); ++i) {
    if (!same(got[i], wanted[i])) {
      return Told(what, static_cast<int64_t>(i - start), static_cast<double>(got[i]), static_cast<double>(wanted[i]));
    }
  }
  return "";
}

bool IsCloseTo(double got, double wanted, double absolute, double relative) {
  if (std::isnan(wanted)) return std::isnan(got);
  if (std::isinf(got) && std::isinf(wanted)) return std::signbit(got) == std::signbit(wanted);
  // At the end of float32's range what is too large may have become infinite on one side.
  if (std::fabs(wanted) > 3.39e38) return std::fabs(got) > 3.38e38 && std::signbit(got) == std::signbit(wanted);
  return std::fabs(got - wanted) <= absolute + relative * std::fabs(wanted);
}

}  // namespace

bool IsClose(float got, float wanted) {
  return IsCloseTo(static_cast<double>(got), static_cast<double>(wanted), 4e-6, 0x1p-22);
}

Results Results::Take(const std::vector<size_t>& which) const {
  Results taken;
  taken.n = n;
  taken.top_capacity = top_capacity;
  taken.vocab = vocab;
  taken.token_ids = TakeParts(token_ids, n, which);
  taken.status = TakeParts(status, 1, which);
  taken.logprobs = TakeParts(logprobs, n, which);
  taken.top_token_ids = TakeParts(top_token_ids, top_capacity, which);
  taken.top_logprobs = TakeParts(top_logprobs, top_capacity, which);
  taken.weights = TakeParts(weights, vocab, which);
  taken.mass = TakeParts(mass, 1, which);
  return taken;
}

std::string Difference(const Results& got, const Results& wanted, size_t row, Logprobs rule) {
  const auto equal = [](auto a, auto b) { return a == b; };
  const auto agree = [&](float a, float b) {
    if (rule == Logprobs::kClose) return IsClose(a, b);
    return BitsOfFloat(a) == BitsOfFloat(b) || (std::isnan(a) && std::isnan(b));
  };
  std::string told;
  const auto add = [&](const std::string& text) {
    if (!text.empty()) told += (told.empty() ? "" : "; ") + text;
  };
  if (!got.status.empty() && !wanted.status.empty() && got.status[row] != wanted.status[row]) {
    add(Told("status", 0, static_cast<double>(got.status[row]), static_cast<double>(wanted.status[row])));
  }
  add(FirstDifference("token_ids", got.token_ids, wanted.token_ids, got.n, row, equal));
  add(FirstDifference("mass", got.mass, wanted.mass, 1, row, equal));
  add(FirstDifference("weights", got.weights, wanted.weights, got.vocab, row, equal));
  add(FirstDifference("logprobs", got.logprobs, wanted.logprobs, got.n, row, agree));
  add(FirstDifference("top_token_ids", got.top_token_ids, wanted.top_token_ids, got.top_capacity, row, equal));
  add(FirstDifference("top_logprobs", got.top_logprobs, wanted.top_logprobs, got.top_capacity, row, agree));
  return told;
}

Results OnHost(const Batch& batch) {
  const auto rows = batch.rows.size();
  const auto n = static_cast<size_t>(batch.n), k = static_cast<size_t>(batch.top_capacity);
  const auto vocab = static_cast<size_t>(batch.vocab);
  Results results;
  results.n = batch.n;
  results.top_capacity = batch.top_capacity;
  results.vocab = batch.vocab;
  // What a row with kBadParameter gets.
  results.token_ids.assign(rows * n, kNoTokenId);
  results.status.assign(rows, Status::kBadParameter);
  results.logprobs.assign(rows * n, NAN);
  results.top_token_ids.assign(rows * k, kNoTokenId);
  results.top_logprobs.assign(rows * k, -HUGE_VALF);
  results.weights.assign(rows * vocab, 0);
  results.mass.assign(rows, 0);
  std::vector<RowInput> inputs;
  std::vector<RowOutput> outputs;
  for (size_t r = 0; r < rows; ++r) {
    if (batch.rows[r].is_bad) continue;
    inputs.push_back(InputOf(batch, batch.rows[r]));
    RowOutput output;
    output.token_ids = results.token_ids.data() + r * n;
    output.status = &results.status[r];
    output.logprobs = results.logprobs.data() + r * n;
    output.top_token_ids = k ? results.top_token_ids.data() + r * k : nullptr;
    output.top_logprobs = k ? results.top_logprobs.data() + r * k : nullptr;
    output.top_capacity = batch.top_capacity;
    output.weights = results.weights.data() + r * vocab;
    output.mass = &results.mass[r];
    outputs.push_back(output);
  }
  SampleRows(inputs.data(), outputs.data(), static_cast<int64_t>(inputs.size()));
  return results;
}

std::string NaiveDifference(const Batch& batch, const Results& results, size_t row) {
  const Row& it = batch.rows[row];
  if (it.is_bad || !it.entries_are_said) return "";
  const naive::Row wanted = naive::Sample(InputOf(batch, it), it.prompt, it.output);
  const auto n = static_cast<size_t>(batch.n), k = static_cast<size_t>(batch.top_capacity);
  if (results.status[row] != wanted.status) return "status is not naive.h's";
  if (results.mass[row] != wanted.mass) return "mass is not naive.h's";
  for (size_t i = 0; i < wanted.weights.size(); ++i) {
    if (results.weights[row * wanted.weights.size() + i] != wanted.weights[i]) return "weights are not naive.h's";
  }
  const auto asked = static_cast<int64_t>(it.integers[kLogprobs]);
  for (size_t i = 0; i < n; ++i) {
    if (results.token_ids[row * n + i] != wanted.token_ids[i]) return "token_ids are not naive.h's";
    const double logprob = asked < 0 ? std::nan("") : wanted.logprobs[i];
    if (!IsCloseTo(static_cast<double>(results.logprobs[row * n + i]), logprob, 2e-6, 0x1p-23)) {
      return Told("logprobs", static_cast<int64_t>(i), static_cast<double>(results.logprobs[row * n + i]), logprob);
    }
  }
  for (size_t i = 0; i < k; ++i) {
    const bool used = i < wanted.top.size();
    if (results.top_token_ids[row * k + i] != (used ? wanted.top[i].first : kNoTokenId)) {
      return "top_token_ids are not naive.h's";
    }
    const auto logprob = static_cast<double>(results.top_logprobs[row * k + i]);
    if (!IsCloseTo(logprob, used ? wanted.top[i].second : -HUGE_VAL, 2e-6, 0x1p-23)) {
      return Told("top_logprobs", static_cast<int64_t>(i), logprob, used ? wanted.top[i].second : -HUGE_VAL);
    }
  }
  return "";
}

}  // namespace nexttoken::parity
