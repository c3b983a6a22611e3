#include "simd/portable.h"

#include "row_kernel.h"  // written in what simd/ gives
#include "targets.h"

namespace nexttoken {

RowKernel PortableRowKernel() {
  return SampleRow;
}

size_t WorkspaceBytes(int32_t vocab_size) {
  Workspace workspace;
  return static_cast<size_t>(LayOut(vocab_size, nullptr, &workspace));
}

}  // namespace nexttoken
