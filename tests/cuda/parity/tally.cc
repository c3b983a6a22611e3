#include "tally.h"

#include <algorithm>
#include <cstdio>

namespace nexttoken::parity {
namespace {

const char* NameOf(DType dtype) {
  return dtype == DType::kFloat32 ? "float32" : dtype == DType::kFloat16 ? "float16" : "bfloat16";
}

std::string Told(const Row& row) {
  char text[320];
  std::snprintf(text, sizeof text,
                "temperature %.9g, top_p %.17g, top_k %llu, min_p %.9g, penalties %.9g %.9g %.9g, logprobs %lld, "
                "%zu biases, %zu counted%s",
                row.reals[kTemperature], row.reals[kTopP], static_cast<unsigned long long>(row.integers[kTopK]),
                row.reals[kMinP], row.reals[kPresence], row.reals[kFrequency], row.reals[kRepetition],
                static_cast<long long>(row.integers[kLogprobs]), row.bias_tokens.size(), row.entries.size(),
                row.bitmask.empty() ? "" : ", bitmask");
  return text;
}

// Those that are tried on purpose by themselves, the others by the thousand.
std::string VocabularyText(int32_t vocab) {
  for (const auto* sizes : {&EdgeVocabularies(), &LargeVocabularies()}) {
    if (std::count(sizes->begin(), sizes->end(), vocab)) return std::to_string(vocab);
  }
  const int32_t thousand = vocab / 1000 * 1000;
  return std::to_string(std::max(1, thousand)) + " to " + std::to_string(thousand + 999);
}

std::string Table(const char* name, const std::map<std::string, Tally::Count>& counts) {
  std::string text = ",\n " + Quoted(name) + ": {";
  const char* between = "";
  for (const auto& [key, count] : counts) {
    text += std::string(between) + "\n  " + Quoted(key) + ": {\"compared\": " + std::to_string(count.compared) +
            ", \"different\": " + std::to_string(count.different) + "}";
    between = ",";
  }
  return text + "\n }";
}

}  // namespace

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) quoted += c;
  }
  return quoted + "\"";
}

void Tally::Print(const std::string& text) {
  if (printed_++ < 20) std::printf("%s\n", text.c_str());
  if (printed_ == 20) std::printf("(and more)\n");
}

void Tally::Add(const std::string& check, const Batch& batch, size_t row, const std::string& plan,
                const std::string& difference) {
  const Row& it = batch.rows[row];
  const bool is_different = !difference.empty();
  const auto count = [&](Count* c) {
    c->compared += 1;
    c->different += is_different;
  };
  count(&total_);
  count(&by_check_[check]);
  count(&by_kind_[it.kind]);
  count(&by_dtype_[NameOf(batch.dtype)]);
  count(&by_vocab_[VocabularyText(batch.vocab)]);
  if (!plan.empty()) count(&by_plan_[plan]);
  if (!is_different) return;
  Print(check + ": batch " + std::to_string(batch.number) + " (" + batch.origin + "), row " + std::to_string(row) +
        " of " + std::to_string(batch.size()) + ", vocabulary " + std::to_string(batch.vocab) + ", " +
        NameOf(batch.dtype) + ", " + it.kind + " (" + Told(it) + "), n " + std::to_string(batch.n) +
        (plan.empty() ? "" : ", " + plan) + ": " + difference);
}

void Tally::AddOther(const std::string& check, bool is_right, const std::string& what) {
  for (Count* c : {&total_, &by_check_[check]}) {
    c->compared += 1;
    c->different += !is_right;
  }
  if (!is_right) Print(check + ": " + what);
}

std::string Tally::Json() const {
  return " \"rows\": " + std::to_string(rows_) + ",\n \"comparisons\": " + std::to_string(total_.compared) +
         ",\n \"different\": " + std::to_string(total_.different) +
         ",\n \"rows_held_against_naive\": " + std::to_string(naive_rows_) + Table("by_check", by_check_) +
         Table("by_kind", by_kind_) + Table("by_dtype", by_dtype_) + Table("by_vocabulary", by_vocab_) +
         Table("by_plan", by_plan_);
}

}  // namespace nexttoken::parity
