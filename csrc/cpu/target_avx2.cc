#include "row_kernel.h"
#include "targets.h"

namespace nexttoken {

RowKernel Avx2RowKernel() {
  return SampleRow;
}

}  // namespace nexttoken
