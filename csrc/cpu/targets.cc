#include "targets.h"

#if defined(NEXTTOKEN_X86_TARGETS)
#include <cpuid.h>
#endif

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace nexttoken {
namespace {

struct Target {
  const char* name;
  RowKernel kernel;
};

#if defined(NEXTTOKEN_X86_TARGETS)
// Clang's __builtin_cpu_supports has no name for it.
bool HasF16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
#endif

std::vector<Target> DetectTargets() {
  std::vector<Target> targets;
#if defined(NEXTTOKEN_X86_TARGETS)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") && HasF16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) targets.push_back({"avx512", Avx512RowKernel()});
  if (avx2) targets.push_back({"avx2", Avx2RowKernel()});
#endif
#if defined(NEXTTOKEN_NEON_TARGET)
  targets.push_back({"neon", NeonRowKernel()});  // part of every 64-bit Arm
#endif
  targets.push_back({"portable", PortableRowKernel()});
  return targets;
}

const std::vector<Target>& Targets() {
  static const std::vector<Target> targets = DetectTargets();
  return targets;
}

const Target& FindTarget(const std::string& name, const char* where) {
  std::string names;
  for (const Target& target : Targets()) {
    if (name == target.name) return target;
    names += (names.empty() ? "" : ", ") + std::string(target.name);
  }
  throw std::invalid_argument(std::string(where) + " must be one of " + names + " on this machine, got " + name);
}

std::atomic<const Target*>& Active() {
  static std::atomic<const Target*> active = [] {
    const char* name = std::getenv("NEXTTOKEN_TARGET");
    return name && *name ? &FindTarget(name, "NEXTTOKEN_TARGET") : &Targets().front();
  }();
  return active;
}

}  // namespace

std::vector<std::string> RunnableTargets() {
  std::vector<std::string> names;
  for (const Target& target : Targets()) names.emplace_back(target.name);
  return names;
}

std::string ActiveTarget() {
  return Active().load()->name;
}

void SetTarget(const std::string& name) {
  Active().store(&FindTarget(name, "target"));
}

RowKernel ActiveRowKernel() {
  return Active().load()->kernel;
}

}  // namespace nexttoken
