// Stop strings and streamed text: the exact bytes of one token after another in, text that is safe to show out.
//
// Where an answer ends. The answer is read byte by byte, so the result never depends on where tokens begin or end.
// The first byte at which any stop string is complete ends the answer. Of the stop strings complete at that byte,
// the one that starts leftmost (the longest) is cut: neither it nor anything after it is ever shown. Hence with the
// stops "abcd" and "bc", "abc..." is cut to "a": "bc" is complete before "abcd" can be.
//
// What is shown. All released text, Finish() included, concatenates to
//     (all bytes, cut at the stop string).decode("utf-8", errors="replace")
// in Python's terms, and nothing released is ever taken back. Held back, and no more than this, are
//   - the longest tail that is a proper prefix of a stop string that can still be the one that is cut,
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
// A stop string that holds another one before its last byte can never be the first to be complete; it is dropped.
// Of those that stay, none ends inside another, so a stop string is complete exactly when a leaf is reached.
//
// Memory: 1 KiB for the root and 13 bytes per distinct prefix. A step is O(1) amortised over the text, times the
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

  // Index into `stops` of the stop string complete at this state, the first of equal ones; -1 if none is.
  int32_t Match(State state) const;

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
  std::vector<uint8_t> byte_;          // the last byte of the state's prefix
  std::vector<State> leaves_;          // ascending
  std::vector<int32_t> stop_of_leaf_;  // beside leaves_
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
  // true when a stop string is complete: all text before it has then been released and the stream is closed.
  // Requires !closed().
  bool Push(const char* bytes, size_t size, std::string* out);

  // The answer ends without a stop string: appends everything held back and closes the stream. Does nothing on a
  // closed one.
  void Finish(std::string* out);

  // Stop strings are looked for from the next byte on; none that began earlier is found. For a stream made without an
  // automaton.
  void SearchFromHere(std::shared_ptr<const StopAutomaton> automaton) { automaton_ = std::move(automaton); }

  bool closed() const { return closed_; }

  // Index of the stop string that ended the answer; -1 if none has.
  int32_t matched_stop() const { return matched_stop_; }

 private:
  std::shared_ptr<const StopAutomaton> automaton_;
  std::string held_;  // the bytes not yet released; ends with the prefix that state_ stands for
  StopAutomaton::State state_ = StopAutomaton::kRoot;
  int32_t matched_stop_ = -1;
  bool strip_leading_space_;  // and the first byte has not come yet
  bool closed_ = false;
};

}  // namespace nexttoken
