// CUDA's atomics and fences.
#pragma once

namespace nexttoken::emulation {

// True if what the thread wrote before is ordered with the atomic that comes now; see block.h. May let others run
// first.
bool BeginAtomic(const void* address);

void FenceBlock();
void FenceDevice();

template <class T>
struct Same {
  using Type = T;
};

template <class T>
constexpr bool kIsAtomic = false;
template <>
inline constexpr bool kIsAtomic<int> = true;
template <>
inline constexpr bool kIsAtomic<unsigned> = true;
template <>
inline constexpr bool kIsAtomic<unsigned long> = true;
template <>
inline constexpr bool kIsAtomic<unsigned long long> = true;
template <>
inline constexpr bool kIsAtomic<float> = true;

// Operations on the real thing, so that ThreadSanitizer sees an atomic access.
template <class T, class Update>
T UpdateAtomic(T* address, Update update) {
  static_assert(kIsAtomic<T>);
  const bool ordered = BeginAtomic(address);
  T old;
  __atomic_load(address, &old, __ATOMIC_RELAXED);
  for (;;) {
    T next = update(old);
    const bool done = ordered
                          ? __atomic_compare_exchange(address, &old, &next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
                          : __atomic_compare_exchange(address, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    if (done) return old;
  }
}

}  // namespace nexttoken::emulation

template <class T>
T atomicAdd(T* address, typename nexttoken::emulation::Same<T>::Type value) {
  return nexttoken::emulation::UpdateAtomic(address, [&](T old) { return static_cast<T>(old + value); });
}

template <class T>
T atomicMin(T* address, typename nexttoken::emulation::Same<T>::Type value) {
  return nexttoken::emulation::UpdateAtomic(address, [&](T old) { return value < old ? value : old; });
}

template <class T>
T atomicMax(T* address, typename nexttoken::emulation::Same<T>::Type value) {
  return nexttoken::emulation::UpdateAtomic(address, [&](T old) { return value > old ? value : old; });
}

template <class T>
T atomicOr(T* address, typename nexttoken::emulation::Same<T>::Type value) {
  return nexttoken::emulation::UpdateAtomic(address, [&](T old) { return static_cast<T>(old | value); });
}

template <class T>
T atomicAnd(T* address, typename nexttoken::emulation::Same<T>::Type value) {
  return nexttoken::emulation::UpdateAtomic(address, [&](T old) { return static_cast<T>(old & value); });
}

template <class T>
T atomicExch(T* address, typename nexttoken::emulation::Same<T>::Type value) {
  return nexttoken::emulation::UpdateAtomic(address, [&](T) { return value; });
}

template <class T>
T atomicCAS(T* address, typename nexttoken::emulation::Same<T>::Type expected,
            typename nexttoken::emulation::Same<T>::Type value) {
  return nexttoken::emulation::UpdateAtomic(address, [&](T old) { return old == expected ? value : old; });
}

inline void __threadfence() {
  nexttoken::emulation::FenceDevice();
}

inline void __threadfence_block() {
  nexttoken::emulation::FenceBlock();
}
