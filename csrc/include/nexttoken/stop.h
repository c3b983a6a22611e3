// Stop strings and streamed text: the exact bytes of one token after another in, text that is safe to show out.
//
// Where an answer ends. With several stop strings it is cut at the leftmost occurrence of any in the whole text that
// the model would say: at the least of text.find(stop). Neither what begins there nor anything after it is ever shown.
// The text is read byte by byte, so the result never depends on where tokens begin or end.
//
// A stop string may be complete while another one that began further left is not decided. The answer then goes on until
// no stop string that began further left can become complete any more: with "abcd" and "bc", "xabcd" is cut to "x", and
// "xabce" at its "e" to "xa". If the text ends before that, the leftmost of those complete counts. Of stop strings that
// begin at the same place matched_stop() is the shortest, which is complete first; of equal ones, the first given.
//
// What is shown. All released text, Finish() included, concatenates to
//     (all bytes, cut at the stop string).decode("utf-8", errors="replace")
// in Python's terms, less half a character where the text ends without a stop string: that is no text, and has no
// U+FFFD. Nothing released is ever taken back. Held back, and no more than this, are
//   - the longest tail that is a proper prefix of a stop string (while a complete one waits, it began before that one),
//   - the character in front of it whose bytes are not all there, or run into that tail.
// Bytes that cannot become a character are released as U+FFFD as soon as that is certain. Matching sees the bytes
// before this replacement: the stop string U+FFFD matches EF BF BD, not an invalid byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nexttoken {

// All stop strings of a request as one Aho-Corasick automaton over bytes. Immutable: rows and threads share one.
//
// A state is the longest tail of the text that may still become a stop string, so it tells the leftmost place where one
// may have begun; the longest stop string that is a suffix of it is the leftmost of those complete at this byte.
//
// Memory: 1 KiB for the root and 17 bytes per distinct prefix. A step is O(1) amortised over the text, times the
// search among the children of one node.
class StopAutomaton {
 public:
  using State = uint32_t;  // a prefix of a stop string: the longest that the text so far ends with
  static constexpr State kRoot = 0;

  // Throws std::invalid_argument for an empty stop string or more than 2^31 - 1 bytes in all. No stop strings at all is
  // legal and never matches.
  explicit StopAutomaton(const std::vector<std::string_view>& stops);

  State Step(State state, uint8_t byte) const;

  // Length in bytes of the prefix that the state stands for.
  size_t Depth(State state) const { return depth_[state]; }

  // The longest suffix of the state that is a whole stop string; kRoot if none is.
  State Complete(State state) const { return complete_[state]; }

  // Index into `stops` of the stop string that `complete`, a result of Complete() other than kRoot, stands for; the
  // first of equal ones.
  int32_t StopOf(State complete) const;

 private:
  // Children of state s are the states [first_child_[s], first_child_[s + 1]), their bytes ascending; states are
  // numbered breadth first, so no edge is stored. Returns kRoot where there is no such child.
  State Child(State state, uint8_t byte) const;

  // Builds the arrays from stops in ascending order, all different.
  void Build(const std::vector<std::string_view>& sorted);

  std::array<State, 256> root_{};
  std::vector<State> first_child_;
  std::vector<State> fail_;  // the longest proper suffix of the state that is a state too
  std::vector<uint32_t> depth_;
  std::vector<uint8_t> byte_;  // the last byte of the state's prefix
  std::vector<State> complete_;
  std::vector<State> whole_;            // the states that are whole stop strings, ascending
  std::vector<int32_t> stop_of_whole_;  // beside whole_
};

// One row's answer. Copying it forks the answer; it holds only the bytes held back. Not for use by two threads at
// once.
class TextStream {
 public:
  // automaton null: no stop strings. strip_leading_space: if the very first byte of the answer is a space it is
  // dropped, as SentencePiece decoders do; matching does not see it, since it is not part of the answer's text.
  explicit TextStream(std::shared_ptr<const StopAutomaton> automaton = nullptr, bool strip_leading_space = false)
      : automaton_(std::move(automaton)), strip_leading_space_(strip_leading_space) {}

  // Feeds one token's exact bytes (size 0 is legal) and appends to *out the text that is now safe to show. Returns
  // true when it is certain which stop string ends the answer: all text before it has then been released and the stream
  // is closed. Requires !closed().
  bool Push(const char* bytes, size_t size, std::string* out);

  // The text ends here: appends what is held back, up to the leftmost stop string if one is complete, and closes the
  // stream. Does nothing on a closed one.
  void Finish(std::string* out);

  // Stop strings are looked for from the next byte on; none that began earlier is found. For a stream made without an
  // automaton.
  void SearchFromHere(std::shared_ptr<const StopAutomaton> automaton) { automaton_ = std::move(automaton); }

  bool closed() const { return closed_; }

  // Index of the stop string that the answer is cut at; -1 if there is none, or none for certain yet.
  int32_t matched_stop() const { return closed_ ? leftmost_stop_ : -1; }

  // How many bytes, of all that were pushed, the released text covers: those that came out as U+FFFD as the bytes that
  // they were, and a dropped leading space. In the end the position of the cut, or all whole characters.
  uint64_t shown_bytes() const { return shown_bytes_; }

 private:
  static constexpr uint64_t kNone = UINT64_MAX;

  // Takes in held_[seen ..]. Returns true when it is certain which stop string ends the answer.
  bool Search(size_t seen);

  // How many of the bytes held_[0, end) are whole characters, or known to be none. Bytes after `end` are looked at.
  size_t WholeUnits(size_t end) const;

  // Appends the first `size` bytes held to *out.
  void Release(size_t size, std::string* out);

  std::shared_ptr<const StopAutomaton> automaton_;
  std::string held_;  // the bytes not yet released; ends with the prefix that state_ stands for
  StopAutomaton::State state_ = StopAutomaton::kRoot;
  int32_t leftmost_stop_ = -1;    // of those complete
  uint64_t leftmost_at_ = kNone;  // where it begins, counted as shown_bytes_ is
  uint64_t shown_bytes_ = 0;      // so held_ begins here
  bool strip_leading_space_;      // and the first byte has not come yet
  bool closed_ = false;
};

}  // namespace nexttoken
