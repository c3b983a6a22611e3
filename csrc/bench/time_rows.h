// Times the kernel on one row at a time, beside the floor: one pass over the same row, taking its maximum.
//
// Protocol, the same for both: the row is copied into an aligned buffer, so it is in the caches as far as it fits, as
// when the model has just written it; or, with `sweep`, the caches are then filled with something else. The interval is
// the calling thread's CPU time (CLOCK_THREAD_CPUTIME_ID), which a busy machine disturbs little, less the clock's own
// cost: the median of empty intervals measured in the same call.
#pragma once

#include <cstdint>

#include "nexttoken/sample.h"

namespace nexttoken {

struct RowTime {
  uint64_t floor_ns;
  uint64_t kernel_ns;
};

// For each row: the floor on its values widened to float32, then the active kernel on the row as it is. `times` has one
// entry per row; outputs are filled as by SampleRows. Returns the clock's cost in ns. Throws std::invalid_argument
// where a call may use several threads: the clock sees the calling one only.
uint64_t TimeRows(const RowInput* inputs, const RowOutput* outputs, int64_t rows, bool sweep, RowTime* times);

// The floor alone; times_ns has one entry per row. Returns the clock's cost in ns.
uint64_t TimeOnePassMax(const LogitsView& logits, bool sweep, uint64_t* times_ns);

}  // namespace nexttoken
