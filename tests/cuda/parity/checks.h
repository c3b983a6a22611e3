// What is checked of a batch; each adds what it found to the tally.
#pragma once

#include <string>

#include "batch.h"
#include "device.h"
#include "results.h"
#include "tally.h"

namespace nexttoken::parity {

struct Checks {
  uint64_t seed = 1;
  DeviceLimits limits;
  Tally tally;

  // Every row of `got` against `wanted`.
  void Compare(const std::string& check, const Batch& batch, const Results& got, const Results& wanted, Logprobs rule,
               const std::string& plan);

  // The device against the CPU kernels, under the plan for this batch and up to `plans` others; small rows also hold
  // the CPU kernels against naive.h. Some results are not asked for in some runs.
  void Parity(const Batch& batch, size_t plans);

  // Nothing but the row decides: the run again, the rows in another order, the batch in parts, its rows among `many`.
  void Invariance(const Batch& batch, size_t many);

  // Values out of range in device memory make their rows bad, and no others.
  void BadParameters(uint64_t number);

  // Draws whose target is a running sum exactly, under every plan.
  void DrawsOnBoundaries(uint64_t number, int32_t largest_vocab);

  // Host memory may be used again as soon as UploadToDevice has returned.
  void Uploads();

  // Of a GPU alone: graphs that are captured once and replayed, and two streams at once.
  void Replays(uint64_t number, int replays);
  void TwoStreams(uint64_t number, int repeats);
};

}  // namespace nexttoken::parity
