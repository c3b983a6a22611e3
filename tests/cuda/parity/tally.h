// What was compared, and what was found: for the terminal and as JSON.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "batch.h"

namespace nexttoken::parity {

class Tally {
 public:
  struct Count {
    int64_t compared = 0;
    int64_t different = 0;
  };

  // Row `row` of a batch was compared; `difference` in words, empty where there is none. The first few are printed.
  void Add(const std::string& check, const Batch& batch, size_t row, const std::string& plan,
           const std::string& difference);
  // Something that is no row.
  void AddOther(const std::string& check, bool is_right, const std::string& what);
  void CountRows(int64_t rows) { rows_ += rows; }
  void CountNaive(int64_t rows) { naive_rows_ += rows; }

  int64_t rows() const { return rows_; }
  int64_t comparisons() const { return total_.compared; }
  int64_t different() const { return total_.different; }

  // As members of a JSON object, without braces around.
  std::string Json() const;

 private:
  void Print(const std::string& text);

  Count total_;
  int64_t rows_ = 0;  // different ones
  int64_t naive_rows_ = 0;
  int64_t printed_ = 0;
  std::map<std::string, Count> by_check_, by_kind_, by_dtype_, by_vocab_, by_plan_;
};

// A JSON string.
std::string Quoted(const std::string& text);

}  // namespace nexttoken::parity
