// A caller's logits, looked at but never owned or modified.
#pragma once

#include <cstdint>
#include <cstring>

#include "nexttoken/host_device.h"

namespace nexttoken {

// The largest vocabulary: it keeps a row's mass (vocab_size * 2^42) below 2^62.
constexpr int64_t kMaxVocabSize = int64_t{1} << 20;

enum class DType : uint8_t { kFloat32, kFloat16, kBFloat16 };

NEXTTOKEN_HD constexpr int64_t ItemSize(DType dtype) {
  return dtype == DType::kFloat32 ? 4 : 2;
}

// One row: `vocab_size` values, `stride` elements apart (1 when dense; any sign).
struct RowView {
  const void* data;
  int64_t stride;
  int32_t vocab_size;
  DType dtype;
};

// [batch_size, vocab_size]; strides in elements. Padding beyond vocab_size is simply not part of the view.
struct LogitsView {
  const void* data;
  int64_t batch_size;
  int64_t vocab_size;
  int64_t row_stride;
  int64_t element_stride;
  DType dtype;

  NEXTTOKEN_HD RowView Row(int64_t row) const {
    const char* start = static_cast<const char*>(data) + row * row_stride * ItemSize(dtype);
    return {start, element_stride, static_cast<int32_t>(vocab_size), dtype};
  }
};

NEXTTOKEN_HD float FloatFromBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

NEXTTOKEN_HD uint32_t BitsOfFloat(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Widening is exact, subnormals included.
NEXTTOKEN_HD float WidenBFloat16(uint16_t bits) {
  return FloatFromBits(uint32_t{bits} << 16);
}

NEXTTOKEN_HD float WidenFloat16(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t magnitude = (bits & 0x7fffu) << 13;
  // The exponents differ by 112 in bias; multiplying by 2^112 also normalises float16 subnormals.
  const uint32_t finite = BitsOfFloat(FloatFromBits(magnitude) * 0x1p112f);
  const uint32_t special = magnitude | 0x7f800000u;  // infinity, NaN: keep the payload
  return FloatFromBits(sign | ((bits & 0x7c00u) == 0x7c00u ? special : finite));
}

}  // namespace nexttoken
