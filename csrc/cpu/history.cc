#include "nexttoken/history.h"

#include <algorithm>

namespace nexttoken {
namespace {

// Fibonacci hashing: consecutive token ids land far apart.
size_t SlotOf(int32_t token, size_t mask) {
  return (static_cast<uint32_t>(token) * 2654435769u) >> 7 & mask;
}

}  // namespace

void History::Clear() {
  entries_.clear();
  std::fill(slots_.begin(), slots_.end(), 0);
}

void History::Grow() {
  slots_.assign(std::max<size_t>(64, slots_.size() * 2), 0);
  const size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t slot = SlotOf(entries_[i].token, mask);
    while (slots_[slot]) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<int32_t>(i + 1);
  }
}

HistoryEntry& History::Find(int32_t token) {
  if (2 * entries_.size() >= slots_.size()) Grow();
  const size_t mask = slots_.size() - 1;
  size_t slot = SlotOf(token, mask);
  while (slots_[slot]) {
    HistoryEntry& entry = entries_[static_cast<size_t>(slots_[slot] - 1)];
    if (entry.token == token) return entry;
    slot = (slot + 1) & mask;
  }
  entries_.push_back({token, 0, 0});
  slots_[slot] = static_cast<int32_t>(entries_.size());
  return entries_.back();
}

}  // namespace nexttoken
