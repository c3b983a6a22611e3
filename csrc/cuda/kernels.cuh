// The launches that a step is made of: nexttoken/sample_batch.h has the contract, docs/cuda-kernels.md the whole.
//
// Where a row fits into the shared memory of the blocks of one cluster, SampleOnChip does all: it reads each logit
// once. Elsewhere ReadTiles, PlanRows and WeighTiles do the same in three launches and read the row twice. Blocks wait
// for each other only within a cluster, by its hardware barrier; else the last block of a row to arrive goes on.
#pragma once

#include <cstdint>

#include "count_history.cuh"
#include "finish_row.cuh"
#include "weigh_tile.cuh"

namespace nexttoken {

// Three blocks to a multiprocessor, which shared memory allows too: while one waits for logits, another weighs.
constexpr int kMaxThreads = 256;
constexpr int kBlocksAtOnce = 3;

// The row's state to device memory, and from there.
__device__ inline void GiveState(const BlockMemory* block) {
  if (Block::Rank() == 0) *block->memory.state = block->state;
}
__device__ inline void TakeState(BlockMemory* block) {
  if (Block::Rank() == 0) block->state = *block->memory.state;
  Block::Sync();
}

template <DType kDType>
__device__ void WeighAndFinish(BlockMemory* block, const BatchOutput& output, const RowLayout& layout, int64_t row,
                               int32_t index) {
  if (block->state.needs_weighing) WeighTile(block, layout, index);
  if (IsLastOfRow(block, layout)) FinishRow<kDType>(block, layout, output, row);
}

template <DType kDType>
__global__ void __launch_bounds__(kMaxThreads, kBlocksAtOnce)
    SampleOnChip(const __grid_constant__ BatchInput input, const __grid_constant__ BatchOutput output,
                 const __grid_constant__ RowLayout layout, const __grid_constant__ BatchMemory memory) {
  const int64_t row = blockIdx.x / static_cast<unsigned>(layout.tiles);
  const auto index = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(layout.tiles));
  PrefetchTile(input.logits.Row(row), TileOf(layout.chunks, index, layout.tiles));
  BlockMemory* block = OpenBlock(input, memory.counted, layout, memory.rows, row);
  const auto sync_row = [&] { layout.tiles > 1 ? ClusterSync() : Block::Sync(); };
  ReadTile<kDType>(block, layout, index);
  sync_row();
  if (layout.each_block_plans || index == 0) PlanRow(block, layout);
  if (!layout.each_block_plans) {
    if (index == 0) GiveState(block);
    sync_row();
    TakeState(block);
  }
  WeighAndFinish<kDType>(block, output, layout, row, index);
}

template <DType kDType>
__global__ void __launch_bounds__(kMaxThreads, kBlocksAtOnce)
    ReadTiles(const __grid_constant__ BatchInput input, const __grid_constant__ RowLayout layout,
              const __grid_constant__ BatchMemory memory) {
  const int64_t row = blockIdx.x / static_cast<unsigned>(layout.tiles);
  const auto index = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(layout.tiles));
  PrefetchTile(input.logits.Row(row), TileOf(layout.chunks, index, layout.tiles));
  BlockMemory* block = OpenBlock(input, memory.counted, layout, memory.rows, row);
  ReadTile<kDType>(block, layout, index);
}

template <DType kDType>
__global__ void __launch_bounds__(kMaxThreads, kBlocksAtOnce)
    PlanRows(const __grid_constant__ BatchInput input, const __grid_constant__ RowLayout layout,
             const __grid_constant__ BatchMemory memory) {
  BlockMemory* block = OpenBlock(input, memory.counted, layout, memory.rows, blockIdx.x);
  PlanRow(block, layout);
  GiveState(block);
}

template <DType kDType>
__global__ void __launch_bounds__(kMaxThreads, kBlocksAtOnce)
    WeighTiles(const __grid_constant__ BatchInput input, const __grid_constant__ BatchOutput output,
               const __grid_constant__ RowLayout layout, const __grid_constant__ BatchMemory memory) {
  const int64_t row = blockIdx.x / static_cast<unsigned>(layout.tiles);
  const auto index = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(layout.tiles));
  BlockMemory* block = OpenBlock(input, memory.counted, layout, memory.rows, row);
  if (layout.each_block_plans) {
    PlanRow(block, layout);
  } else {
    TakeState(block);
  }
  if (block->state.needs_weighing) {
    const Tile tile = TileOf(layout.chunks, index, layout.tiles);
    NoWitness nobody;
    LoadTile<kDType, Block>(block->row, tile, block->tile, &nobody);
#pragma unroll 1
    for (int32_t k = Block::Rank(); k < tile.chunks; k += Block::Size()) {
      block->maxima[k] = block->memory.maxima[tile.Chunk(k)];
    }
    Block::Sync();
  }
  WeighAndFinish<kDType>(block, output, layout, row, index);
}

// Every token's weight, once the row is finished.
template <DType kDType>
__global__ void __launch_bounds__(kMaxThreads, kBlocksAtOnce)
    WriteWeights(const __grid_constant__ BatchInput input, const __grid_constant__ BatchOutput output,
                 const __grid_constant__ RowLayout layout, const __grid_constant__ BatchMemory memory) {
  const int64_t row_index = blockIdx.x / static_cast<unsigned>(layout.tiles);
  const auto index = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(layout.tiles));
  BlockMemory* block = OpenBlock(input, memory.counted, layout, memory.rows, row_index);
  TakeState(block);
  const RowState& state = block->state;
  const Row& row = block->row;
  const bool is_ok = state.status == Status::kOk;
  const Tile tile = TileOf(layout.chunks, index, layout.tiles);
  if (is_ok) {
    NoWitness nobody;
    LoadTile<kDType, Block>(row, tile, block->tile, &nobody);
  }
  uint64_t* weights = output.weights + row_index * row.logits.vocab_size;
#pragma unroll 1
  for (int32_t i = Block::Rank(); i < tile.chunks * kChunk; i += Block::Size()) {
    const int32_t token = tile.Chunk(i / kChunk) * kChunk + i % kChunk;
    if (token >= row.logits.vocab_size) continue;
    const float z = is_ok ? state.Seen(block->tile[i]) : 0.0f;
    const bool is_kept = is_ok && (state.is_greedy ? token == TokenOfRank(state.last) : state.Keeps(z, token));
    weights[token] = !is_kept ? 0 : state.is_greedy ? kMaxWeight : state.weigh(z);
  }
}

template <DType kDType>
__global__ void __launch_bounds__(kMaxThreads, kBlocksAtOnce)
    CountHistory(const __grid_constant__ BatchInput input, const __grid_constant__ BatchMemory memory) {
  CountRow(input, memory.counted, blockIdx.x);
}

}  // namespace nexttoken
