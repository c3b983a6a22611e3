// The floating-point environment is part of the contract: round to nearest even, subnormals kept, no traps.
//
// A caller may run with flush-to-zero or another rounding mode (any library linked with -ffast-math sets them), so
// every kernel entry and every pool thread holds one of these while it computes; the caller's environment comes back
// after.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

namespace nexttoken {

class FloatEnvironment {
 public:
  FloatEnvironment() : saved_(Read()) { Write(kDefault); }
  ~FloatEnvironment() { Write(saved_); }
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
#if defined(__x86_64__) || defined(__i386__)
  using Word = uint32_t;
  static constexpr Word kDefault = 0x1f80;  // all exceptions masked, nearest even, no FTZ, no DAZ
  static Word Read() { return _mm_getcsr(); }
  static void Write(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = uint64_t;
  static constexpr Word kDefault = 0;
  static Word Read() {
    Word word;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void Write(Word word) { __asm__ __volatile__("msr fpcr, %0" : : "r"(word) : "memory"); }
#else
#error "say here how this processor's floating-point environment is saved and set"
#endif

  Word saved_;
};

}  // namespace nexttoken
