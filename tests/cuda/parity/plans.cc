#include "plans.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <tuple>

namespace nexttoken::parity {

std::vector<BatchPlan> LegalPlans(const Batch& batch, const DeviceLimits& limits) {
  using Key = std::tuple<int32_t, int32_t, int32_t, bool, bool>;
  std::set<Key> seen;
  std::vector<BatchPlan> plans;
  const auto add = [&](int64_t rows, const DeviceLimits& device) {
    const BatchPlan plan = PlanBatch(rows, batch.vocab, device);
    const Key key(plan.threads, plan.tiles, plan.tile_chunks, plan.cluster, plan.each_block_plans);
    if (seen.insert(key).second) plans.push_back(plan);
  };
  add(batch.size(), limits);
  // Shared memory that a block may have, by architecture: 7.5, 8.6 and 8.9, 8.0, 9.0; 48 KiB everywhere.
  constexpr int64_t kKibibytes[] = {227, 163, 99, 64, 48};
  for (const int64_t rows : {batch.size(), int64_t{1}, int64_t{16}, int64_t{256}, int64_t{4096}}) {
    for (const int capability : {limits.compute_capability, 90, 80, 75}) {
      for (const int multiprocessors : {limits.multiprocessors, 1, 24, 132, 1000}) {
        for (const int64_t kibibytes : kKibibytes) {
          for (const int cluster : {16, 8, 1}) {
            DeviceLimits device = limits;
            device.compute_capability = std::min(capability, limits.compute_capability);
            device.multiprocessors = multiprocessors;
            device.shared_memory_bytes = std::min(kibibytes << 10, limits.shared_memory_bytes);
            device.max_cluster = std::min(cluster, limits.max_cluster);
            add(rows, device);
          }
        }
      }
    }
  }
  return plans;
}

std::string Told(const BatchPlan& plan) {
  char text[96];
  std::snprintf(text, sizeof text, "%d tiles of %d threads%s%s", plan.tiles, plan.threads,
                plan.cluster ? ", cluster" : "", plan.each_block_plans ? ", each plans" : "");
  return text;
}

}  // namespace nexttoken::parity
