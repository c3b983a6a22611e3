// How a batch is spread over a device. Numbers only; no result depends on them.
#pragma once

#include <cstdint>

#include "nexttoken/sample_batch.h"
#include "row_memory.cuh"

namespace nexttoken {

RowLayout LayOutBatch(int64_t vocab_size, const BatchPlan& plan);

}  // namespace nexttoken
