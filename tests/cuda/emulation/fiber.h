// Stacks that one operating system thread runs in turn, and what sanitizers have to know about them.
//
// ThreadSanitizer takes each fiber for a thread of its own. A switch orders nothing: only Release and Acquire do.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace nexttoken::emulation {

struct Stack {
  char* low;
  size_t bytes;
};

struct Fiber {
#if defined(__x86_64__)
  void* stack_pointer;
#else
  ucontext_t registers;
#endif
  Stack stack;
  void* fake_stack;  // AddressSanitizer's
  void* identity;    // ThreadSanitizer's
};

// Stacks for `count` fibers, which fibers of an earlier call must not use any more.
void ReserveStacks(size_t count);
Stack StackAt(size_t index);

// `fiber` will begin with `entry`, which must not return. `name` is for reports of ThreadSanitizer.
void CreateFiber(Fiber& fiber, Stack stack, void (*entry)(), const char* name);
// By another fiber, once it has switched away for the last time.
void DestroyFiber(Fiber& fiber);

// Makes `fiber` stand for the code that is running, so that others can switch back to it.
void AdoptFiber(Fiber& fiber);

// From the fiber that is running to another. With `ends` the first is never switched to again.
void SwitchFiber(Fiber& from, Fiber& to, bool ends);
// What `entry` calls first.
void EnterFiber();

// For ThreadSanitizer: all that was done before a Release of an object comes before what follows an Acquire of it.
// Objects need no memory but the byte at their address.
#if defined(NEXTTOKEN_EMULATION_TSAN)
constexpr bool kRaceDetection = true;
void Release(char* object);
void Acquire(char* object);
#else
constexpr bool kRaceDetection = false;
inline void Release(char*) {}
inline void Acquire(char*) {}
#endif

}  // namespace nexttoken::emulation
