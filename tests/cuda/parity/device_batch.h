// A batch in device memory, and the step run on it.
#pragma once

#include <deque>
#include <vector>

#include "batch.h"
#include "device.h"
#include "results.h"

namespace nexttoken::parity {

// All that BatchInput points to, each in memory of exactly its size, in the forms that the batch asks for.
class DeviceInput {
 public:
  explicit DeviceInput(const Batch& batch);

  const BatchInput& view() const { return view_; }
  // The array of an integer that is handed over one a row, to be changed between replays.
  DeviceMemory* memory_of(Integer which) { return integers_[which]; }

 private:
  template <class T>
  T* Keep(const std::vector<T>& values);
  void PlaceLogits(const Batch& batch);
  void PlaceReals(const Batch& batch);
  void PlaceIntegers(const Batch& batch);
  void PlaceBitmask(const Batch& batch);
  void PlaceBias(const Batch& batch);
  void PlaceHistory(const Batch& batch);
  TokenMatrix PlaceMatrix(const Batch& batch, std::vector<int32_t> Row::* tokens);

  BatchInput view_;
  std::deque<DeviceMemory> kept_;  // whose places do not change as it grows
  std::array<DeviceMemory*, kIntegerCount> integers_ = {};
  Random random_;
};

// Which results are wanted, as bits.
enum Wanted : unsigned {
  kTokenIds = 1,
  kStatus = 2,
  kDrawnLogprobs = 4,
  kTopTokenIds = 8,
  kTopLogprobs = 16,
  kWeights = 32,
  kMass = 64,
  kAllWanted = 127,
};

class DeviceOutput {
 public:
  DeviceOutput(const Batch& batch, unsigned wanted);

  const BatchOutput& view() const { return view_; }
  void Spoil();
  // Waits for the stream.
  Results Read() const;
  bool IsIntact() const;

 private:
  template <class T>
  void Place(bool wanted, size_t count, DeviceMemory* memory, T** pointer);

  Results shape_;
  BatchOutput view_;
  DeviceMemory token_ids_, status_, logprobs_, top_token_ids_, top_logprobs_, weights_, mass_;
};

// Queues the step on the device's stream with memory for its work that holds nothing of use.
DeviceMemory QueueStep(const BatchInput& input, const BatchOutput& output, const BatchPlan& plan);

// One step: laid out, run, read back. Writing where nothing may be written ends the program.
Results RunStep(const Batch& batch, const DeviceInput& input, const BatchPlan& plan, unsigned wanted = kAllWanted);

}  // namespace nexttoken::parity
