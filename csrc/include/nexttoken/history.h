// What a row has read and said: a sparse count of its distinct tokens, O(distinct tokens) in memory and time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nexttoken {

struct HistoryEntry {
  int32_t token;
  uint32_t output_count;
  uint32_t prompt_count;
};

// Grows with a sequence; copying it forks the sequence.
class History {
 public:
  void AddPrompt(int32_t token) { ++Find(token).prompt_count; }
  void AddOutput(int32_t token) { ++Find(token).output_count; }

  // In order of first occurrence; valid until the next call of a non-const member.
  const std::vector<HistoryEntry>& entries() const { return entries_; }

  // Keeps the memory.
  void Clear();

 private:
  HistoryEntry& Find(int32_t token);
  void Grow();

  std::vector<HistoryEntry> entries_;
  std::vector<int32_t> slots_;  // open addressing over entries_: index + 1, 0 where empty; a power of two
};

}  // namespace nexttoken
