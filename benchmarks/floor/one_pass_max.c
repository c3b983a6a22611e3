/* The floor that every benchmark is held against: one pass over a row, taking its largest value.
 *
 * A plain loop that any compiler vectorises, because the flags beside it in CMakeLists.txt allow it to reorder. Nothing
 * that reads each logit once can be much quicker. Compiled once per instruction set where the C library can choose
 * among them when the program is loaded, so that a wheel built for any x86-64 still measures the machine it runs on.
 */
#include "one_pass_max.h"

#include <limits.h> /* for __GLIBC__ */

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute)
#if __has_attribute(target_clones)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#endif
float nexttoken_one_pass_max(const float* values, size_t count) {
  float best = values[0];
  for (size_t i = 0; i < count; ++i) {
    best = values[i] > best ? values[i] : best;
  }
  return best;
}
