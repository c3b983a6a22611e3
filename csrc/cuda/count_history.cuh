// Token matrices into what penalties work on: distinct tokens and how often each occurred.
#pragma once

#include <cstdint>

#include "row.cuh"

namespace nexttoken {

// A table of open addressing with linear probing, at most half full; empty entries have token -1. By one block a row.
struct HistoryTable {
  HistoryEntry* entries;
  int64_t slots;  // a power of two

  __device__ HistoryEntry* Find(int32_t token) const {
    const uint64_t hash = static_cast<uint32_t>(token) * uint64_t{0x9E3779B97F4A7C15u};
    for (uint64_t at = hash >> 32;; ++at) {
      HistoryEntry* entry = entries + (at & static_cast<uint64_t>(slots - 1));
      const int before = atomicCAS(reinterpret_cast<int*>(&entry->token), int{kNoTokenId}, int{token});
      if (before == kNoTokenId || before == token) return entry;
    }
  }
};

__device__ inline int64_t TokenOf(const TokenMatrix& matrix, int64_t row, int64_t i) {
  const int64_t at = row * matrix.row_stride + i;
  return matrix.is_int64 ? static_cast<const int64_t*>(matrix.data)[at] : static_cast<const int32_t*>(matrix.data)[at];
}

__device__ inline void CountRow(const BatchInput& input, const CountedHistory& counted, int64_t row) {
  const HistoryTable table = {counted.entries + row * counted.slots, counted.slots};
  const auto vocab_size = input.logits.vocab_size;
  for (int64_t i = Block::Rank(); i < table.slots; i += Block::Size()) table.entries[i] = {kNoTokenId, 0, 0};
  Block::Sync();
  bool is_bad = false;
  const auto count = [&](const TokenMatrix& matrix, bool is_output) {
    for (int64_t i = Block::Rank(); matrix.data && i < matrix.length; i += Block::Size()) {
      const int64_t token = TokenOf(matrix, row, i);
      if (token == kNoTokenId) continue;
      if (token < 0 || token >= vocab_size) {
        is_bad = true;
        continue;
      }
      HistoryEntry* entry = table.Find(static_cast<int32_t>(token));
      atomicAdd(is_output ? &entry->output_count : &entry->prompt_count, 1u);
    }
  };
  count(input.prompt, false);
  count(input.output, true);
  if (input.history.begin) {
    const int64_t begin = input.history.begin[row * input.history.stride];
    const int64_t end = input.history.end[row * input.history.stride];
    is_bad |= end - begin > input.longest_history;
    for (int64_t i = begin + Block::Rank(); !is_bad && i < end; i += Block::Size()) {
      const HistoryEntry& given = input.history_entries[i];
      if (given.token < 0 || given.token >= vocab_size) {
        is_bad = true;
        continue;
      }
      HistoryEntry* entry = table.Find(given.token);
      atomicAdd(&entry->output_count, given.output_count);
      atomicAdd(&entry->prompt_count, given.prompt_count);
    }
  }
  is_bad = __syncthreads_or(is_bad) != 0;
  if (Block::Rank() == 0) counted.is_bad[row] = is_bad;
}

}  // namespace nexttoken
