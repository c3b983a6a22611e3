#include "simd/neon.h"

#include "row_kernel.h"  // written in what simd/ gives
#include "targets.h"

namespace nexttoken {

RowKernel NeonRowKernel() {
  return SampleRow;
}

}  // namespace nexttoken
