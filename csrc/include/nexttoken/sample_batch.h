// One decoding step for a batch in device memory: what sample.h promises for a row, with the same bits.
//
// Logits, parameters and results stay on the device; the host waits for nothing, and nothing is allocated. All work is
// queued on one stream in a fixed sequence of launches, so a step can be captured in a graph and replayed: values that
// lie in device memory are read anew by each replay.
//
// A parameter that lies on the device is never read back. One out of range gives its row Status::kBadParameter and
// token -1; other rows are unharmed. Parameters given by value are checked by the caller, as in sample.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nexttoken/history.h"
#include "nexttoken/params.h"
#include "nexttoken/status.h"
#include "nexttoken/views.h"

namespace nexttoken {

// A real number per row. Device values may be float32 or float64; temperature and penalties are rounded to float32. A
// float32 is in range where it is within the range's ends as float32.
struct Reals {
  const void* data = nullptr;  // device memory; null: `value` for all rows
  int64_t stride = 0;          // elements from one row's to the next; 0: one for all rows
  bool is_float64 = false;
  double value = 0.0;
};

// An integer per row.
struct Integers {
  enum class Type : uint8_t { kInt32, kInt64, kUInt64 };
  const void* data = nullptr;
  int64_t stride = 0;
  Type type = Type::kInt64;
  uint64_t value = 0;
};

// Lists of different lengths in one array: row r's is [begin[r * stride], end[r * stride]). All in device memory.
struct Lists {
  const int64_t* begin = nullptr;  // null: no list has any entry
  const int64_t* end = nullptr;
  int64_t stride = 0;  // 0: one list for all rows
};

// Token ids per row as a matrix in device memory; -1 is no token.
struct TokenMatrix {
  const void* data = nullptr;  // null: none
  int64_t row_stride = 0;      // 0: one list for all rows
  int64_t length = 0;
  bool is_int64 = false;
};

struct BatchInput {
  LogitsView logits;  // device memory

  Reals temperature = {nullptr, 0, false, 1.0};
  Reals presence_penalty;
  Reals frequency_penalty;
  Reals repetition_penalty = {nullptr, 0, false, 1.0};
  Reals top_p = {nullptr, 0, true, 1.0};
  Reals min_p;
  Integers top_k;
  Integers seed;
  Integers sequence_index;
  Integers step;
  Integers logprobs = {nullptr, 0, Integers::Type::kInt64, ~uint64_t{0}};  // -1: none; see RowParams

  const int32_t* token_bitmask = nullptr;  // (vocab_size + 31) / 32 words a row, or none
  int64_t token_bitmask_stride = 0;        // words; 0: one for all rows

  Lists bias;
  const int32_t* bias_tokens = nullptr;
  const float* bias_values = nullptr;

  // What the penalties count: entries of distinct tokens, token ids that are counted on the way, or both together.
  Lists history;
  const HistoryEntry* history_entries = nullptr;
  int64_t longest_history = 0;  // no list of `history` is longer; read only where there is a matrix
  TokenMatrix prompt;
  TokenMatrix output;

  bool penalize_prompt = false;
  LogprobsMode logprobs_mode = LogprobsMode::kRaw;
  int32_t n = 1;  // draws from each row, at sequence indices sequence_index + 0 .. n - 1
};

// Row r's results are at r times the length in brackets; a null pointer is a result that is not wanted. All in device
// memory.
struct BatchOutput {
  int32_t* token_ids = nullptr;      // [n]
  Status* status = nullptr;          // [1]
  float* logprobs = nullptr;         // [n]; NaN where none are asked for
  int32_t* top_token_ids = nullptr;  // [top_capacity]
  float* top_logprobs = nullptr;     // [top_capacity]
  int32_t top_capacity = 0;
  uint64_t* weights = nullptr;  // [vocab_size]
  uint64_t* mass = nullptr;     // [1]
};

// What the launches are fitted to.
struct DeviceLimits {
  int compute_capability = 0;  // major * 10 + minor; less where the kernels were compiled for less
  int multiprocessors = 0;
  int64_t shared_memory_bytes = 0;  // that one block may have
  int max_cluster = 8;              // blocks, where there are clusters at all
};

// How a batch is spread over the device: changes the time, never a result.
struct BatchPlan {
  int32_t threads = 0;      // of a block; a power of two, at least 32
  int32_t tiles = 0;        // blocks that share a row
  int32_t tile_chunks = 0;  // chunks of the row that a block holds in shared memory
  bool cluster = false;     // the blocks of a row are one cluster and hold it between reading and weighing; else the
                            // row is read once more by a launch of its own
  bool each_block_plans = false;  // between the two, every block of a row does what else one does for all: quicker
                                  // where blocks are few
};

BatchPlan PlanBatch(int64_t batch_size, int64_t vocab_size, const DeviceLimits& limits);

// Device memory that a step needs beside its input and output; of no meaning between steps. Aligned to 256 bytes.
size_t BatchWorkspaceBytes(const BatchInput& input, const BatchPlan& plan);

// Queues the step on `stream` (a cudaStream_t). Returns 0 or the cudaError_t of the launch that failed. Preconditions
// are those of sample.h. The current device is the one that holds the memory.
int SampleBatch(const BatchInput& input, const BatchOutput& output, const BatchPlan& plan, void* workspace,
                void* stream);

// Queues a copy of host memory, which may be reused as soon as this returns, to device memory, aligned to 4 bytes.
// Within a graph capture the bytes become part of the graph. Returns 0, or a cudaError_t:
// cudaErrorStreamCaptureUnsupported for more than kMaxCapturedUpload bytes in a capture.
constexpr size_t kMaxCapturedUpload = size_t{1} << 18;
int UploadToDevice(void* device, const void* host, size_t bytes, void* stream);

}  // namespace nexttoken
