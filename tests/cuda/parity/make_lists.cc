// Bitmasks, biases and histories of random rows.
#include <algorithm>
#include <cmath>

#include "batch.h"

namespace nexttoken::parity {
namespace {

// Tokens of lists lie close together or anywhere; the first and the last token are likely.
int32_t PickToken(Random* random, int32_t vocab, int32_t near) {
  if (random->Chance(0.1)) return random->Chance(0.5) ? 0 : vocab - 1;
  if (random->Chance(0.5)) return random->Token(vocab);
  return static_cast<int32_t>(std::clamp<int64_t>(near + random->Between(-40, 40), 0, vocab - 1));
}

// Full, half full, sparse, empty and one-bit rows; bits beyond the vocabulary are noise.
std::vector<int32_t> MakeBitmask(Random* random, int32_t vocab) {
  std::vector<int32_t> words(static_cast<size_t>(vocab + 31) / 32);
  const uint64_t density = random->Below(6);
  for (int32_t& word : words) {
    uint64_t bits = random->Bits();
    if (density == 0) bits = ~uint64_t{0};
    if (density == 1) bits &= random->Bits() & random->Bits() & random->Bits() & random->Bits();
    if (density >= 4) bits = 0;
    word = static_cast<int32_t>(static_cast<uint32_t>(bits));
  }
  if (density == 4) {
    const int32_t one = random->Token(vocab);
    words[static_cast<size_t>(one) / 32] = static_cast<int32_t>(uint32_t{1} << (one % 32));
  }
  if (vocab % 32) {
    const uint32_t beyond = ~uint32_t{0} << (vocab % 32);
    const auto noise = static_cast<uint32_t>(random->Bits()) & beyond;
    words.back() = static_cast<int32_t>((static_cast<uint32_t>(words.back()) & ~beyond) | noise);
  }
  return words;
}

void MakeBias(Random* random, int32_t vocab, Row* row) {
  constexpr float kValues[] = {0.0f,  -0.0f,      1.0f,       -1.0f, 100.0f, -100.0f,
                               0.1f,  -HUGE_VALF, -HUGE_VALF, 3e38f, -3e38f, 3.4028234663852886e38f,
                               1e-45f};
  constexpr int64_t kCounts[] = {0, 1, 4, 20, 20, 300};
  int64_t count = random->Pick(kCounts);
  if (vocab > 4096 && random->Chance(0.05)) count = 3000;
  const int32_t near = random->Token(vocab);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < std::min<int64_t>(count, vocab); ++i) tokens.push_back(PickToken(random, vocab, near));
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  for (size_t i = tokens.size(); i > 1; --i) std::swap(tokens[i - 1], tokens[random->Below(i)]);
  const bool gentle = random->Chance(0.3);
  for (const int32_t token : tokens) {
    row->bias_tokens.push_back(token);
    row->bias_values.push_back(gentle ? random->Uniform(-2, 2) : random->Pick(kValues));
  }
}

std::vector<int32_t> MakeSaid(Random* random, int32_t vocab, int64_t length) {
  std::vector<int32_t> few;  // so that tokens repeat
  const int32_t near = random->Token(vocab);
  for (int i = 0; i < 8; ++i) few.push_back(PickToken(random, vocab, near));
  std::vector<int32_t> said;
  for (int64_t i = 0; i < length; ++i) {
    said.push_back(random->Chance(0.4) ? few[random->Below(few.size())] : PickToken(random, vocab, near));
  }
  return said;
}

int64_t PickLength(Random* random, int32_t vocab) {
  constexpr int64_t kLengths[] = {0, 0, 1, 2, 13, 31, 33, 100};
  if (vocab > 1000 && random->Chance(0.15)) return random->Between(500, 3000);
  return random->Pick(kLengths);
}

void MakeHistory(Random* random, Batch* batch, Row* row) {
  row->prompt = MakeSaid(random, batch->vocab, PickLength(random, batch->vocab));
  row->output = MakeSaid(random, batch->vocab, PickLength(random, batch->vocab));
  History history;
  for (const int32_t token : row->prompt) history.AddPrompt(token);
  for (const int32_t token : row->output) history.AddOutput(token);
  row->entries = history.entries();
  if (batch->history_form == ListForm::kNone || row->entries.empty() || !random->Chance(0.1)) return;
  if (batch->history_is_split) return;
  // Counts that float32 rounds, and the largest there is.
  constexpr uint32_t kCounts[] = {(1u << 24) + 1, 0xffffffffu, 1u << 31};
  HistoryEntry& entry = row->entries[random->Below(row->entries.size())];
  entry.output_count = random->Pick(kCounts);
  entry.prompt_count = 0;  // the two are added: their sum stays below 2^32
  row->entries_are_said = false;
}

}  // namespace

void MakeLists(Random* random, Batch* batch) {
  std::vector<Row>& rows = batch->rows;
  const auto copy_to_all = [&](auto member) {
    for (Row& row : rows) row.*member = rows[0].*member;
  };
  if (random->Chance(0.3)) {
    for (Row& row : rows) row.bitmask = MakeBitmask(random, batch->vocab);
    batch->bitmask_is_shared = random->Chance(0.3);
    if (batch->bitmask_is_shared) copy_to_all(&Row::bitmask);
  }
  constexpr ListForm kForms[] = {ListForm::kNone, ListForm::kSideBySide, ListForm::kSpread, ListForm::kShared};
  if (random->Chance(0.5)) {
    batch->bias_form = random->Pick(kForms);
    if (batch->bias_form != ListForm::kNone) {
      for (Row& row : rows) MakeBias(random, batch->vocab, &row);
    }
    if (batch->bias_form == ListForm::kShared) {
      copy_to_all(&Row::bias_tokens);
      copy_to_all(&Row::bias_values);
    }
  }
  if (random->Chance(0.6)) {
    batch->history_form = random->Pick(kForms);
    batch->history_is_split = batch->history_form != ListForm::kNone && random->Chance(0.4);
    batch->matrices_are_int64 = random->Chance(0.5);
    batch->matrices_are_shared = batch->history_form == ListForm::kNone && random->Chance(0.2);
    for (Row& row : rows) MakeHistory(random, batch, &row);
    if (batch->matrices_are_shared || batch->history_form == ListForm::kShared) {
      copy_to_all(&Row::prompt);
      copy_to_all(&Row::output);
      copy_to_all(&Row::entries);
      copy_to_all(&Row::entries_are_said);
    }
  }
}

}  // namespace nexttoken::parity
