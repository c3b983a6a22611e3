# One object library per instruction set, all from csrc/cpu/row_kernel.h.
# memcpy and libm apart, kernels call nothing: unrolled loops are worth -O3, which under sanitizers would take minutes.
set(_optimize -O3)
if(NEXTTOKEN_SANITIZE)
  set(_optimize -O2)
endif()
function(nexttoken_cpu_target name)
  add_library(nexttoken_cpu_${name} OBJECT csrc/cpu/target_${name}.cc)
  target_compile_options(nexttoken_cpu_${name} PRIVATE ${_optimize} -fno-math-errno ${ARGN})
endfunction()

set(_targets portable)
nexttoken_cpu_target(portable)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  nexttoken_cpu_target(avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
  nexttoken_cpu_target(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -mbmi -mbmi2
    -mprefer-vector-width=512
    # GCC 12 takes its own intrinsics' undefined operands for mistakes (its bug 105593).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  list(APPEND _targets avx2 avx512)
  set(_definitions NEXTTOKEN_X86_TARGETS)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  nexttoken_cpu_target(neon)
  list(APPEND _targets neon)
  set(_definitions NEXTTOKEN_NEON_TARGET)
endif()

add_library(nexttoken_cpu OBJECT csrc/cpu/targets.cc)
target_compile_definitions(nexttoken_cpu PUBLIC ${_definitions})
foreach(_target IN LISTS _targets)
  target_sources(nexttoken_cpu INTERFACE $<TARGET_OBJECTS:nexttoken_cpu_${_target}>)
endforeach()
