#include "row_kernel.h"
#include "targets.h"

namespace nexttoken {

RowKernel Avx512RowKernel() {
  return SampleRow;
}

}  // namespace nexttoken
