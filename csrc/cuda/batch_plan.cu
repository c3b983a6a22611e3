#include "batch_plan.h"

#include <algorithm>

namespace nexttoken {
namespace {

constexpr int32_t kMaxCluster = 8;  // what every device with clusters can do
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
  if (vocab_size <= kWholeRow) {
    layout.tile_list_capacity = plan.tile_chunks * kChunk;
  } else {
    layout.tile_list_capacity = std::max<int32_t>(kWholeRow, plan.tile_chunks * (kChunk / 16));
    layout.samples_per_chunk = 1;
    while (layout.samples_per_chunk < kMaxSamplesPerChunk && 2 * layout.samples_per_chunk * layout.chunks <= kSamples) {
      layout.samples_per_chunk *= 2;
    }
  }
  layout.list_capacity = plan.tiles * layout.tile_list_capacity;
  RowMemory unused;
  layout.bytes = LayOutRow(layout, nullptr, &unused);
  return layout;
}

BatchPlan PlanBatch(int64_t batch_size, int64_t vocab_size, const DeviceLimits& limits) {
  const int32_t chunks = ChunksOf(vocab_size);
  const int64_t wanted_blocks = limits.multiprocessors;
  BatchPlan plan;
  // Tiles of the usual size, and smaller ones where blocks would else be too few for the device.
  plan.tiles = std::max(1, Ceil(chunks, kUsualTile));
  if (limits.compute_capability >= 90) {
    plan.tiles = plan.tiles > kMaxCluster / 2 ? kMaxCluster : plan.tiles > 2 ? 4 : plan.tiles;
    while (plan.tiles < kMaxCluster && batch_size * plan.tiles < wanted_blocks &&
           chunks >= 2 * plan.tiles * kSmallestTile) {
      plan.tiles *= 2;
    }
    plan.cluster = SharedBytesOf(vocab_size, plan.tiles) <= limits.shared_memory_bytes;
  } else {
    plan.cluster = batch_size >= wanted_blocks && SharedBytesOf(vocab_size, 1) <= limits.shared_memory_bytes;
    if (plan.cluster) plan.tiles = 1;
  }
  if (!plan.cluster) {
    plan.tiles = Ceil(chunks, kUsualTile);
    while (batch_size * plan.tiles < wanted_blocks && chunks >= 2 * plan.tiles * kSmallestTile) plan.tiles *= 2;
    plan.cluster = plan.tiles == 1;
  }
  plan.tile_chunks = Ceil(chunks, plan.tiles);
  plan.threads = kThreads;
  return plan;
}

}  // namespace nexttoken
