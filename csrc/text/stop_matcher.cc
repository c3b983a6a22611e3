#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "nexttoken/stop.h"
#include "nexttoken/utf8.h"

namespace nexttoken {
namespace {

constexpr size_t kMaxBytes = (size_t{1} << 31) - 1;  // states are 32-bit, indices of stop strings int32

}  // namespace

StopAutomaton::StopAutomaton(const std::vector<std::string_view>& stops) {
  size_t total = 0;
  for (size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty()) {
      throw std::invalid_argument("stop strings must not be empty, got an empty one at stop " + std::to_string(i));
    }
    total += stops[i].size();
  }
  if (total > kMaxBytes) {
    throw std::invalid_argument("stop strings must have at most 2^31 - 1 bytes in all, got " + std::to_string(total));
  }

  // Ascending, and of equal ones the first given.
  std::vector<int32_t> order(stops.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return stops[a] < stops[b]; });
  order.erase(std::unique(order.begin(), order.end(), [&](int32_t a, int32_t b) { return stops[a] == stops[b]; }),
              order.end());
  std::vector<std::string_view> sorted;
  for (int32_t stop : order) sorted.push_back(stops[stop]);
  Build(sorted);

  const auto find = [&](std::string_view prefix) {
    State state = kRoot;
    for (char c : prefix) state = Child(state, static_cast<uint8_t>(c));
    return state;
  };
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return find(stops[a]) < find(stops[b]); });
  for (int32_t stop : order) whole_.push_back(find(stops[stop]));
  stop_of_whole_ = std::move(order);

  complete_.assign(depth_.size(), kRoot);
  for (State state : whole_) complete_[state] = state;
  for (State state = 1; state < complete_.size(); ++state) {
    // Breadth first: the shorter fail_ is already decided.
    if (complete_[state] == kRoot) complete_[state] = complete_[fail_[state]];
  }
}

void StopAutomaton::Build(const std::vector<std::string_view>& sorted) {
  struct Range {
    size_t begin, end;  // the sorted stop strings that begin with the state's prefix
  };
  std::vector<Range> ranges{{0, sorted.size()}};
  root_.fill(kRoot);
  first_child_.clear();
  fail_.assign(1, kRoot);
  depth_.assign(1, 0);
  byte_.assign(1, 0);

  for (State state = 0; state < ranges.size(); ++state) {
    first_child_.push_back(static_cast<State>(ranges.size()));
    const size_t depth = depth_[state];
    auto [begin, end] = ranges[state];
    if (begin < end && sorted[begin].size() == depth) ++begin;  // ends here; ascending, so it stands first
    while (begin < end) {
      const char byte = sorted[begin][depth];
      size_t next = begin + 1;
      while (next < end && sorted[next][depth] == byte) ++next;
      const State child = static_cast<State>(ranges.size());
      // The suffix states are shorter: their children are all numbered by now.
      fail_.push_back(state == kRoot ? kRoot : Step(fail_[state], static_cast<uint8_t>(byte)));
      depth_.push_back(static_cast<uint32_t>(depth + 1));
      byte_.push_back(static_cast<uint8_t>(byte));
      ranges.push_back({begin, next});
      if (state == kRoot) root_[static_cast<uint8_t>(byte)] = child;
      begin = next;
    }
  }
  first_child_.push_back(static_cast<State>(ranges.size()));
}

StopAutomaton::State StopAutomaton::Child(State state, uint8_t byte) const {
  if (state == kRoot) return root_[byte];
  const auto begin = byte_.begin() + first_child_[state], end = byte_.begin() + first_child_[state + 1];
  const auto child = std::lower_bound(begin, end, byte);
  return child != end && *child == byte ? static_cast<State>(child - byte_.begin()) : kRoot;
}

StopAutomaton::State StopAutomaton::Step(State state, uint8_t byte) const {
  for (; state != kRoot; state = fail_[state]) {
    if (const State child = Child(state, byte); child != kRoot) return child;
  }
  return root_[byte];
}

int32_t StopAutomaton::StopOf(State complete) const {
  const auto found = std::lower_bound(whole_.begin(), whole_.end(), complete);
  return stop_of_whole_[static_cast<size_t>(found - whole_.begin())];
}

bool TextStream::Search(size_t seen) {
  for (size_t i = seen; i < held_.size(); ++i) {
    state_ = automaton_->Step(state_, static_cast<uint8_t>(held_[i]));
    const uint64_t end = shown_bytes_ + i + 1;
    if (const StopAutomaton::State complete = automaton_->Complete(state_); complete != StopAutomaton::kRoot) {
      // Where another one began at the same place, that one was complete first and stays.
      if (const uint64_t at = end - automaton_->Depth(complete); at < leftmost_at_) {
        leftmost_at_ = at;
        leftmost_stop_ = automaton_->StopOf(complete);
      }
    }
    if (leftmost_at_ <= end - automaton_->Depth(state_)) return true;
  }
  return false;
}

bool TextStream::Push(const char* bytes, size_t size, std::string* out) {
  if (strip_leading_space_ && size > 0) {
    strip_leading_space_ = false;
    if (bytes[0] == ' ') ++bytes, --size, ++shown_bytes_;
  }
  const size_t seen = held_.size();
  held_.append(bytes, size);
  if (automaton_ && Search(seen)) {
    Finish(out);
    return true;
  }
  // The bytes of the tail are looked at, not released: they may prove that what is in front of them is invalid.
  Release(WholeUnits(held_.size() - (automaton_ ? automaton_->Depth(state_) : 0)), out);
  return false;
}

void TextStream::Finish(std::string* out) {
  if (closed_) return;
  Release(leftmost_at_ != kNone ? static_cast<size_t>(leftmost_at_ - shown_bytes_) : WholeUnits(held_.size()), out);
  held_.clear();
  closed_ = true;
}

size_t TextStream::WholeUnits(size_t end) const {
  size_t size = 0;
  while (size < end) {
    const Utf8Unit unit = NextUtf8Unit(held_.data() + size, held_.size() - size);
    if (unit.kind == Utf8Kind::kUnfinished || size + unit.size > end) break;
    size += unit.size;
  }
  return size;
}

void TextStream::Release(size_t size, std::string* out) {
  AppendUtf8(held_.data(), size, out);
  held_.erase(0, size);
  shown_bytes_ += size;
}

}  // namespace nexttoken
