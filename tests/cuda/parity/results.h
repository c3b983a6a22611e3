// What came of a batch, from either side, and whether two of them agree.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "batch.h"

namespace nexttoken::parity {

// As BatchOutput says: row r's part of each is at r times the length in brackets. Empty: not asked for.
struct Results {
  int32_t n = 1;
  int32_t top_capacity = 0;
  int32_t vocab = 1;
  std::vector<int32_t> token_ids;      // [n]
  std::vector<Status> status;          // [1]
  std::vector<float> logprobs;         // [n]
  std::vector<int32_t> top_token_ids;  // [top_capacity]
  std::vector<float> top_logprobs;     // [top_capacity]
  std::vector<uint64_t> weights;       // [vocab]
  std::vector<uint64_t> mass;          // [1]

  // Those of these rows, in this order.
  Results Take(const std::vector<size_t>& which) const;
};

enum class Logprobs : uint8_t {
  kClose,  // |a - b| <= 4e-6 + 2^-22 |b|: both sides are within the contract's bound of the same number
  kEqual,  // the same bits
};

// What of row `row` differs, in words; empty: nothing. Only what both have is compared.
std::string Difference(const Results& got, const Results& wanted, size_t row, Logprobs rule);

bool IsClose(float got, float wanted);

// By the CPU kernels, on all threads; every result.
Results OnHost(const Batch& batch);

// What of row `row` differs from tests/cpp/naive.h, which shares no arithmetic with the library; empty: nothing.
std::string NaiveDifference(const Batch& batch, const Results& results, size_t row);

}  // namespace nexttoken::parity
