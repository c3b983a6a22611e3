#include "simd/avx2.h"

#include "row_kernel.h"  // written in what simd/ gives
#include "targets.h"

namespace nexttoken {

RowKernel Avx2RowKernel() {
  return SampleRow;
}

}  // namespace nexttoken
