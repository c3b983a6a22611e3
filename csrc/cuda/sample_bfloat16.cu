#include "sample_as.cuh"

template int nexttoken::SampleAs<nexttoken::DType::kBFloat16>(const BatchInput&, const BatchOutput&, const BatchPlan&,
                                                              const RowLayout&, const BatchMemory&, void*);
