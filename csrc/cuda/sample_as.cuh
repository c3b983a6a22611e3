// The launches of one step, in order.
#pragma once

#include "kernels.cuh"
#include "launch.cuh"
#include "sample_as.h"

namespace nexttoken {

template <DType kDType>
int SampleAs(const BatchInput& input, const BatchOutput& output, const BatchPlan& plan, const RowLayout& layout,
             const BatchMemory& memory, void* stream) {
  const int64_t rows = input.logits.batch_size;
  const LaunchSize tiles = {rows * plan.tiles, plan.threads, 1, SharedBytes(layout)};
  const LaunchSize one_a_row = {rows, plan.threads, 1, SharedBytes(layout)};
  int error = 0;
  if (memory.counted.slots > 0) {
    error = Launch(CountHistory<kDType>, {rows, plan.threads, 1, 0}, stream, input, memory);
  }
  if (plan.cluster) {
    LaunchSize clusters = tiles;
    clusters.cluster = plan.tiles;
    if (!error) error = Launch(SampleOnChip<kDType>, clusters, stream, input, output, layout, memory);
  } else {
    if (!error) error = Launch(ReadTiles<kDType>, tiles, stream, input, layout, memory);
    if (!error && !plan.each_block_plans) {
      error = Launch(PlanRows<kDType>, one_a_row, stream, input, layout, memory);
    }
    if (!error) error = Launch(WeighTiles<kDType>, tiles, stream, input, output, layout, memory);
  }
  if (output.weights && !error) error = Launch(WriteWeights<kDType>, tiles, stream, input, output, layout, memory);
  return error;
}

}  // namespace nexttoken
