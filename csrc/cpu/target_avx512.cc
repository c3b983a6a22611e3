#include "simd/avx512.h"

#include "row_kernel.h"  // written in what simd/ gives
#include "targets.h"

namespace nexttoken {

RowKernel Avx512RowKernel() {
  return SampleRow;
}

}  // namespace nexttoken
