// The last stage of a row, by one block: the cut, the draws, logprobs, and every result but the weights.
#pragma once

#include <cstdint>

#include "draw.cuh"
#include "nexttoken/log_softmax.h"
#include "top_tokens.cuh"

namespace nexttoken {

// Row r's part of a batch's results.
__device__ inline BatchOutput OutputOfRow(const BatchOutput& output, int64_t row, int32_t n, int32_t vocab_size) {
  BatchOutput of_row = output;
  if (of_row.token_ids) of_row.token_ids += row * n;
  if (of_row.status) of_row.status += row;
  if (of_row.logprobs) of_row.logprobs += row * n;
  if (of_row.top_token_ids) of_row.top_token_ids += row * output.top_capacity;
  if (of_row.top_logprobs) of_row.top_logprobs += row * output.top_capacity;
  if (of_row.weights) of_row.weights += row * vocab_size;
  if (of_row.mass) of_row.mass += row;
  return of_row;
}

__device__ inline void WriteTop(const BatchOutput& output, const LogSoftmax& softmax, const Entry& mine, int count) {
  const int i = Block::Rank();  // the first warp's entries
#pragma unroll 1
  for (int at = i; at < output.top_capacity; at += Block::Size()) {
    const bool is_entry = at < count && at == i;
    if (output.top_token_ids) output.top_token_ids[at] = is_entry ? mine.token : kNoTokenId;
    if (output.top_logprobs) output.top_logprobs[at] = is_entry ? softmax.Of(mine.z) : kNegativeInfinity;
  }
}

__device__ inline void WriteBadRow(const BatchOutput& output, int32_t n) {
#pragma unroll 1
  for (int32_t i = Block::Rank(); i < n; i += Block::Size()) {
    if (output.token_ids) output.token_ids[i] = kNoTokenId;
    if (output.logprobs) output.logprobs[i] = FloatFromBits(0x7fc00000u);
  }
  WriteTop(output, LogSoftmax{}, Entry{}, 0);
}

__device__ inline LogSoftmax SoftmaxOf(const Row& row, const RowState& state, const RowTotals& totals) {
  if (row.WantsRawLogprobs()) return {state.raw_max, 1.0, log(state.raw_sum)};
  const double unit = static_cast<double>(kMaxWeight);
  if (state.is_greedy) return {state.weigh.max, 1.0, log(static_cast<double>(totals.mass) / unit)};
  return {state.weigh.max, static_cast<double>(row.params.temperature), log(static_cast<double>(state.mass) / unit)};
}

template <DType kDType>
__device__ void DrawTokens(const BlockMemory* block, const RowSource<kDType>& source, const ListSource& list,
                           const uint64_t* running, const Drawn& greedy, const LogSoftmax& softmax,
                           const BatchOutput& output) {
  const Row& row = block->row;
  const RowState& state = block->state;
  if (Block::WarpIndex() >= source.warps) return;
#pragma unroll 1
  for (int32_t i = Block::WarpIndex(); i < row.n; i += source.warps) {
    Drawn drawn = greedy;
    if (!state.is_greedy) {
      const uint64_t bits = DrawBits(row.params.seed, row.params.sequence_index + static_cast<uint32_t>(i), row.step);
      drawn = TokenAt(source, list, running, DrawTarget(bits, state.mass));
    }
    if (Lane() != 0) continue;
    if (output.token_ids) output.token_ids[i] = drawn.token;
    if (!output.logprobs) continue;
    const float z = row.WantsRawLogprobs() ? Canonical(ReadLogit<kDType>(row.logits, drawn.token)) : drawn.z;
    output.logprobs[i] = row.WantsLogprobs() ? softmax.Of(z) : FloatFromBits(0x7fc00000u);
  }
}

template <DType kDType>
__device__ __noinline__ void FinishRow(BlockMemory* block, const RowLayout& layout, const BatchOutput& batch_output,
                                       int64_t index) {
  const Row& row = block->row;
  RowState& state = block->state;
  if (Block::Rank() == 0) block->totals = *block->memory.totals;
  Block::Sync();
  const BatchOutput output = OutputOfRow(batch_output, index, row.n, row.logits.vocab_size);
  if (output.status && Block::Rank() == 0) *output.status = state.status;
  if (output.mass && Block::Rank() == 0) *output.mass = 0;
  if (state.status != Status::kOk) return WriteBadRow(output, row.n);

  const int warps = Block::Warps() < layout.tile_chunks ? Block::Warps() : layout.tile_chunks;
  const RowSource<kDType> source = {&row, &state, block->memory.maxima, block->tile, warps};
  const FinishMemory memory(block);
  Drawn greedy = {kNoTokenId, 0.0f};
  ListSource kept = {nullptr, 0};
  if (state.is_greedy) {
    greedy = FirstOfHighest(source, block->scratch, block->counts);
    if (Block::Rank() == 0) state.last = RankOf(greedy.z, greedy.token), state.mass = kMaxWeight;
  } else {
    kept = CutRow(block, layout, source, memory);
    const uint64_t mass = RunningMasses(memory.masses, layout.chunks, block->scratch);
    if (Block::Rank() == 0) state.mass = mass;
  }
  Block::Sync();
  LogSoftmax softmax;
  if (row.WantsLogprobs()) softmax = SoftmaxOf(row, state, block->totals);
  if (output.token_ids || output.logprobs) {
    // The list may be where the buffers are: the bins are free.
    constexpr int kFreeBuffers = kSelectBins * sizeof(SelectBin) / (kChunk * sizeof(float));
    RowSource<kDType> draws = source;
    if (kept.count > 0) {
      draws.buffers = reinterpret_cast<float*>(memory.select.bins);
      draws.warps = Block::Warps() < kFreeBuffers ? Block::Warps() : kFreeBuffers;
    }
    DrawTokens(block, draws, kept, memory.masses, greedy, softmax, output);
  }
  Block::Sync();
  if (output.top_token_ids || output.top_logprobs) {
    const int wanted = row.params.logprobs < output.top_capacity ? row.params.logprobs : output.top_capacity;
    Entry mine = {};
    int count = 0;
    if (wanted > 0 && row.WantsRawLogprobs()) {
      const RowSource<kDType> raw = {&row, nullptr, block->memory.raw_maxima, block->tile, warps};
      count = FindTop(raw, state.weigh, RawWindow(state), wanted, memory.select, &mine);
    } else if (wanted > 0) {
      count = FindTop(source, state.weigh, ProcessedWindow(state), wanted, memory.select, &mine);
    }
    WriteTop(output, softmax, mine, count);
  }
  if (Block::Rank() == 0) {
    if (output.mass) *output.mass = state.mass;
    *block->memory.state = state;  // for WriteWeights
  }
}

}  // namespace nexttoken
