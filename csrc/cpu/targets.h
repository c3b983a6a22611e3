// The CPU targets: one row kernel per instruction set, one of them active.
#pragma once

#include <string>
#include <vector>

#include "nexttoken/sample.h"

namespace nexttoken {

RowKernel PortableRowKernel();
#if defined(NEXTTOKEN_X86_TARGETS)
RowKernel Avx2RowKernel();
RowKernel Avx512RowKernel();
#endif
#if defined(NEXTTOKEN_NEON_TARGET)
RowKernel NeonRowKernel();
#endif

// Names of the targets that run on this machine, best first; "portable" is always the last.
std::vector<std::string> RunnableTargets();

// The target in use: the best one, or the one that the environment variable NEXTTOKEN_TARGET names.
std::string ActiveTarget();

// Chooses by name, from the next call on; throws std::invalid_argument for a name that is not runnable here, because a
// target asked for by name is never silently replaced.
void SetTarget(const std::string& name);

RowKernel ActiveRowKernel();

}  // namespace nexttoken
