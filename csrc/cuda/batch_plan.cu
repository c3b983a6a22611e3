#include "batch_plan.h"

#include <algorithm>

namespace nexttoken {
namespace {

constexpr int32_t kUsualTile = 64;  // chunks: 64 KiB, so that three blocks share a multiprocessor
constexpr int32_t kSmallestTile = 8;
constexpr int32_t kThreads = 256;
constexpr int64_t kWholeRow = 1024;  // a vocabulary up to this is listed whole, without a guess
constexpr int32_t kSamples = 4096;
constexpr int32_t kMaxSamplesPerChunk = 32;

int32_t Ceil(int64_t count, int64_t by) {
  return static_cast<int32_t>((count + by - 1) / by);
}

int64_t SharedBytesOf(int64_t vocab_size, int32_t tiles) {
  BatchPlan plan;
  plan.tiles = tiles;
  plan.tile_chunks = Ceil(ChunksOf(vocab_size), tiles);
  return SharedBytes(LayOutBatch(vocab_size, plan));
}

}  // namespace

RowLayout LayOutBatch(int64_t vocab_size, const BatchPlan& plan) {
  RowLayout layout = {};
  layout.chunks = ChunksOf(vocab_size);
  layout.tiles = plan.tiles;
  layout.tile_chunks = plan.tile_chunks;
  layout.each_block_plans = plan.each_block_plans;
  if (vocab_size <= kWholeRow) {
    layout.tile_list_capacity = plan.tile_chunks * kChunk;
  } else {
    layout.tile_list_capacity = std::max<int32_t>(kWholeRow, plan.tile_chunks * (kChunk / 16));
    layout.samples_per_chunk = 1;
    while (layout.samples_per_chunk < kMaxSamplesPerChunk && 2 * layout.samples_per_chunk * layout.chunks <= kSamples) {
      layout.samples_per_chunk *= 2;
    }
  }
  // A guess of a cut in the middle of a flat row leaves a tenth of it.
  layout.list_capacity = std::max(plan.tiles * layout.tile_list_capacity, layout.chunks * (kChunk / 8));
  RowMemory unused;
  layout.bytes = LayOutRow(layout, nullptr, &unused);
  return layout;
}

BatchPlan PlanBatch(int64_t batch_size, int64_t vocab_size, const DeviceLimits& limits) {
  const int32_t chunks = ChunksOf(vocab_size);
  const int64_t wanted_blocks = limits.multiprocessors;
  const bool has_clusters = limits.compute_capability >= 90 && limits.max_cluster > 1;
  // Three blocks share a multiprocessor also where it has less shared memory.
  const int32_t usual_tile = limits.shared_memory_bytes < (160 << 10) ? kUsualTile / 3 : kUsualTile;
  // More tiles, down to small ones, where blocks would else be too few for the device.
  const auto spread = [&](int32_t tiles, int32_t most) {
    while (2 * tiles <= most && batch_size * tiles < wanted_blocks && chunks >= 2 * tiles * kSmallestTile) tiles *= 2;
    return tiles;
  };
  BatchPlan plan;
  plan.threads = kThreads;
  if (has_clusters) {
    plan.tiles = 1;
    while (plan.tiles < limits.max_cluster && Ceil(chunks, plan.tiles) > usual_tile) plan.tiles *= 2;
    plan.tiles = spread(plan.tiles, limits.max_cluster);
    plan.cluster = SharedBytesOf(vocab_size, plan.tiles) <= limits.shared_memory_bytes;
  } else {
    plan.tiles = 1;
    plan.cluster = batch_size >= wanted_blocks && SharedBytesOf(vocab_size, 1) <= limits.shared_memory_bytes;
  }
  if (!plan.cluster) {
    plan.tiles = spread(std::max(1, Ceil(chunks, usual_tile)), chunks);
    plan.cluster = plan.tiles == 1;
  }
  plan.tile_chunks = Ceil(chunks, plan.tiles);
  plan.each_block_plans = batch_size * plan.tiles <= wanted_blocks;
  return plan;
}

}  // namespace nexttoken
