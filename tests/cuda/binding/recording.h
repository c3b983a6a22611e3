// What a test may know of the work that was queued: read by Python through ctypes, see tests/cuda/conftest.py.
#pragma once

#include <cstdint>

namespace nexttoken {

enum class Queued : int64_t { kUpload = 1, kStep = 2, kOrder = 3 };

// `detail`: bytes of an upload, the other stream of an order.
void Record(Queued what, void* stream, int64_t detail);

// The error that a test wants the next call of this kind to return, once; else 0.
int TakeFailure(Queued what);

}  // namespace nexttoken
