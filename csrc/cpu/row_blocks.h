// Step 1 of the sampling contract for one row: a row as blocks of 64 logits, some of which have been rewritten.
//
// The caller's logits are read where they lie. A bias or a penalty touches few tokens, so only their blocks are copied,
// widened and edited (row_edits.h); the table of blocks leads every later pass to the right one. Blocks come in groups
// of four, and what lies beyond the vocabulary is -inf, so that no pass has a tail.
#pragma once

#include <cstdint>
#include <cstring>

#include "nexttoken/adjust.h"
#include "nexttoken/sample.h"

namespace nexttoken {
namespace {

constexpr int32_t kBlock = 64;
constexpr int32_t kBlocksInGroup = 4;
constexpr int32_t kGroup = kBlock * kBlocksInGroup;
constexpr int kBlockVectors = kBlock / kLanes;

int32_t GroupsOf(int64_t vocab_size) {
  return static_cast<int32_t>((vocab_size + kGroup - 1) / kGroup);
}

bool IsNan(float value) {
  return (BitsOfFloat(value) & 0x7fffffffu) > 0x7f800000u;
}

// One logit of the caller's.
float ReadLogit(const RowView& view, int32_t token) {
  const char* from = static_cast<const char*>(view.data) + token * view.stride * ItemSize(view.dtype);
  if (view.dtype == DType::kFloat32) {
    float value;
    memcpy(&value, from, sizeof value);
    return value;
  }
  uint16_t bits;
  memcpy(&bits, from, sizeof bits);
  return view.dtype == DType::kFloat16 ? WidenFloat16(bits) : WidenBFloat16(bits);
}

struct RowBlocks {
  RowView view;
  int32_t groups;
  const void** blocks;  // [groups * kBlocksInGroup] where each block is
  float* slots;         // room for the whole row, rewritten, and one block more
  float* free_slot;     // the first that is not in use
  bool has_nan;         // one was seen where it was overwritten

  // Rewritten blocks are float32, whatever the row is.
  bool IsRewritten(int32_t block) const {
    const char* at = static_cast<const char*>(blocks[block]);
    return at >= reinterpret_cast<const char*>(slots) && at < reinterpret_cast<const char*>(free_slot);
  }

  float At(int32_t token) const {
    if (!IsRewritten(token / kBlock)) return ReadLogit(view, token);
    return static_cast<const float*>(blocks[token / kBlock])[token % kBlock];
  }
};

template <DType kDType>
NEXTTOKEN_INLINE Floats LoadRaw(const void* block, int32_t offset) {
  const char* from = static_cast<const char*>(block) + offset * ItemSize(kDType);
  if (kDType == DType::kFloat16) return LoadFloat16(from);
  if (kDType == DType::kBFloat16) return LoadBFloat16(from);
  return Load(from);
}

template <DType kDType>
NEXTTOKEN_INLINE void LoadBlock(const RowBlocks& row, int32_t block, Floats* x) {
  const void* from = row.blocks[block];
  if (kDType == DType::kFloat32 || row.IsRewritten(block)) {
    for (int v = 0; v < kBlockVectors; ++v) x[v] = LoadRaw<DType::kFloat32>(from, v * kLanes);
  } else {
    for (int v = 0; v < kBlockVectors; ++v) x[v] = LoadRaw<kDType>(from, v * kLanes);
  }
}

// The block in a slot of its own.
template <DType kDType>
float* RewriteBlock(RowBlocks* row, int32_t block) {
  if (row->IsRewritten(block)) return const_cast<float*>(static_cast<const float*>(row->blocks[block]));
  float* slot = row->free_slot;
  Floats x[kBlockVectors];
  LoadBlock<kDType>(*row, block, x);
  for (int v = 0; v < kBlockVectors; ++v) Store(slot + v * kLanes, x[v]);
  row->blocks[block] = slot;
  row->free_slot = slot + kBlock;
  return slot;
}

// `slots` has room for the whole row and one block more.
RowBlocks OpenRow(const RowView& view, const void** blocks, float* slots) {
  RowBlocks row = {view, GroupsOf(view.vocab_size), blocks, slots, slots, false};
  const int32_t count = row.groups * kBlocksInGroup;
  const int32_t whole = view.stride == 1 ? view.vocab_size / kBlock : 0;
  for (int32_t block = 0; block < whole; ++block) {
    blocks[block] = static_cast<const char*>(view.data) + int64_t{block} * kBlock * ItemSize(view.dtype);
  }
  // Strided rows and what is left of a dense one are gathered; what lies beyond is one block of -inf.
  const int32_t gathered = (view.vocab_size + kBlock - 1) / kBlock;
  for (int32_t block = whole; block < gathered; ++block) {
    blocks[block] = slots;
    for (int32_t i = 0; i < kBlock; ++i) {
      const int32_t token = block * kBlock + i;
      slots[i] = token < view.vocab_size ? ReadLogit(view, token) : kNegativeInfinity;
    }
    slots += kBlock;
  }
  if (gathered < count) {
    for (int32_t i = 0; i < kBlock; ++i) slots[i] = kNegativeInfinity;
    for (int32_t block = gathered; block < count; ++block) blocks[block] = slots;
    slots += kBlock;
  }
  row.free_slot = slots;
  return row;
}

}  // namespace
}  // namespace nexttoken
