// Ways to spread a batch over the device that are legal for it, not only the one that is best.
#pragma once

#include <string>
#include <vector>

#include "batch.h"
#include "nexttoken/sample_batch.h"

namespace nexttoken::parity {

// A plan is legal where PlanBatch might give it: for this vocabulary, any batch size, and any device that offers no
// more than `limits` do but for the number of its multiprocessors. The first is the plan for this batch on this device.
std::vector<BatchPlan> LegalPlans(const Batch& batch, const DeviceLimits& limits);

// In words: "2 tiles of 256 threads, cluster".
std::string Told(const BatchPlan& plan);

}  // namespace nexttoken::parity
