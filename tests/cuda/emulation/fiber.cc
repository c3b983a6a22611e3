#include "emulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(NEXTTOKEN_EMULATION_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(NEXTTOKEN_EMULATION_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace nexttoken::emulation {
namespace {

// Sanitizers lengthen frames.
#if defined(NEXTTOKEN_EMULATION_ASAN) || defined(NEXTTOKEN_EMULATION_TSAN)
constexpr size_t kStackBytes = size_t{256} << 10;
#else
constexpr size_t kStackBytes = size_t{64} << 10;
#endif
constexpr size_t kGuardBytes = size_t{16} << 10;  // a page, on machines of 4 to 16 KiB pages
constexpr size_t kStride = kGuardBytes + kStackBytes;

char* arena = nullptr;
size_t arena_stacks = 0;

[[noreturn]] void FailMemory(const char* call) {
  std::perror(call);
  std::abort();
}

}  // namespace

void ReserveStacks(size_t count) {
  const bool grows = count > arena_stacks;
  // ThreadSanitizer would take a stack's next user for a second thread at the first one's variables. It forgets those
  // when it sees memory mapped.
  if (!grows && !kRaceDetection) return;
  if (grows && arena != nullptr) munmap(arena, arena_stacks * kStride);
  if (grows) arena_stacks = count;
  void* mapped = mmap(grows ? nullptr : arena, count * kStride, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (grows ? 0 : MAP_FIXED), -1, 0);
  if (mapped == MAP_FAILED) FailMemory("emulation: mmap of stacks");
  arena = static_cast<char*>(mapped);
  if (kRaceDetection) return;  // guards would cost more than all else, each time
  for (size_t i = 0; i < count; ++i) {
    if (mprotect(arena + i * kStride, kGuardBytes, PROT_NONE) != 0)
      FailMemory("emulation: mprotect of a stack's guard");
  }
}

Stack StackAt(size_t index) {
  // Tops at one offset within their pages would all compete for the same few lines of the cache.
  const size_t offset = index % 16 * 256;
  return {arena + index * kStride + kGuardBytes, kStackBytes - offset};
}

#if defined(__x86_64__)

// Saves the registers that a callee must preserve, and the place to go on from, on the stack that is left.
extern "C" void NextTokenSwitchStack(void** save_stack_pointer, void* stack_pointer);
asm(R"(
.text
.p2align 4
.hidden NextTokenSwitchStack
.globl NextTokenSwitchStack
.type NextTokenSwitchStack, @function
NextTokenSwitchStack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size NextTokenSwitchStack, .-NextTokenSwitchStack
)");

static void PrepareRegisters(Fiber& fiber, void (*entry)()) {
  auto* top = reinterpret_cast<uint64_t*>(fiber.stack.low + fiber.stack.bytes);
  *--top = 0;  // where entry would return to; also what aligns the stack as a call would
  *--top = reinterpret_cast<uint64_t>(entry);
  for (int i = 0; i < 6; ++i) *--top = 0;
  fiber.stack_pointer = top;
}

static void SwitchRegisters(Fiber& from, Fiber& to) {
  NextTokenSwitchStack(&from.stack_pointer, to.stack_pointer);
}

#else

static void PrepareRegisters(Fiber& fiber, void (*entry)()) {
  getcontext(&fiber.registers);
  fiber.registers.uc_stack.ss_sp = fiber.stack.low;
  fiber.registers.uc_stack.ss_size = fiber.stack.bytes;
  fiber.registers.uc_link = nullptr;
  makecontext(&fiber.registers, entry, 0);
}

static void SwitchRegisters(Fiber& from, Fiber& to) {
  swapcontext(&from.registers, &to.registers);
}

#endif

#if defined(NEXTTOKEN_EMULATION_ASAN)
static Fiber* left = nullptr;  // by the switch that is under way
#endif

void CreateFiber(Fiber& fiber, Stack stack, void (*entry)(), [[maybe_unused]] const char* name) {
  fiber.stack = stack;
  fiber.fake_stack = nullptr;
  fiber.identity = nullptr;
#if defined(NEXTTOKEN_EMULATION_ASAN)
  __asan_unpoison_memory_region(stack.low, stack.bytes);
#endif
#if defined(NEXTTOKEN_EMULATION_TSAN)
  fiber.identity = __tsan_create_fiber(0);
  __tsan_set_fiber_name(fiber.identity, name);
#endif
  PrepareRegisters(fiber, entry);
}

void DestroyFiber([[maybe_unused]] Fiber& fiber) {
#if defined(NEXTTOKEN_EMULATION_TSAN)
  __tsan_destroy_fiber(fiber.identity);
#endif
}

void AdoptFiber(Fiber& fiber) {
  fiber.stack = {nullptr, 0};  // AddressSanitizer tells, at the first switch away
  fiber.fake_stack = nullptr;
  fiber.identity = nullptr;
#if defined(NEXTTOKEN_EMULATION_TSAN)
  fiber.identity = __tsan_get_current_fiber();
#endif
}

void SwitchFiber(Fiber& from, Fiber& to, [[maybe_unused]] bool ends) {
#if defined(NEXTTOKEN_EMULATION_ASAN)
  left = &from;
  __sanitizer_start_switch_fiber(ends ? nullptr : &from.fake_stack, to.stack.low, to.stack.bytes);
#endif
#if defined(NEXTTOKEN_EMULATION_TSAN)
  __tsan_switch_to_fiber(to.identity, __tsan_switch_to_fiber_no_sync);
#endif
  SwitchRegisters(from, to);
#if defined(NEXTTOKEN_EMULATION_ASAN)
  __sanitizer_finish_switch_fiber(from.fake_stack, const_cast<const void**>(reinterpret_cast<void**>(&left->stack.low)),
                                  &left->stack.bytes);
#endif
}

void EnterFiber() {
#if defined(NEXTTOKEN_EMULATION_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, const_cast<const void**>(reinterpret_cast<void**>(&left->stack.low)),
                                  &left->stack.bytes);
#endif
}

#if defined(NEXTTOKEN_EMULATION_TSAN)
void Release(char* object) {
  __tsan_release(object);
}

void Acquire(char* object) {
  __tsan_acquire(object);
}
#endif

}  // namespace nexttoken::emulation
