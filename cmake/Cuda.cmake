# cuda: the kernels, and the module _cuda that brings them to Python. It is loaded at the first CUDA tensor, links the
# runtime statically and nothing of torch: one build serves every torch, and a machine without a GPU imports it.
set(NEXTTOKEN_CUDA AUTO CACHE STRING "Build the CUDA kernels: AUTO (where a CUDA compiler works), ON or OFF")
set_property(CACHE NEXTTOKEN_CUDA PROPERTY STRINGS AUTO ON OFF)
option(NEXTTOKEN_CUDA_RELEASE "Compile the CUDA kernels for every architecture that a release serves" OFF)

# The last with PTX, which later cards compile for themselves.
set(_release_architectures 80-real 86-real 89-real 90-real 100-real 120)

set(_build_cuda OFF)
if(NEXTTOKEN_CUDA)  # AUTO is true, too
  include(CheckLanguage)
  check_language(CUDA)  # compiles something: an nvcc that is broken, or does not know the host compiler, is none
  if(CMAKE_CUDA_COMPILER)
    set(_build_cuda ON)
  elseif(NOT NEXTTOKEN_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "NEXTTOKEN_CUDA=${NEXTTOKEN_CUDA} needs a CUDA compiler that works, and found none: put nvcc on "
      "the path or set CMAKE_CUDA_COMPILER, or leave NEXTTOKEN_CUDA at AUTO for the CPU kernels alone")
  endif()
endif()
message(STATUS "CUDA kernels: ${_build_cuda}")

if(_build_cuda)
  # For a checkout, one architecture keeps the build short: that of the cards present, or the one compiled for in CI.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    if(NEXTTOKEN_CUDA_RELEASE)
      set(CMAKE_CUDA_ARCHITECTURES ${_release_architectures})
    else()
      set(CMAKE_CUDA_ARCHITECTURES 90)
      execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
        OUTPUT_VARIABLE _cards ERROR_QUIET RESULT_VARIABLE _failed)
      string(REGEX MATCHALL "[0-9]+\\.[0-9]+" _cards "${_cards}")
      if(_cards AND NOT _failed)
        list(TRANSFORM _cards REPLACE "\\." "")
        list(REMOVE_DUPLICATES _cards)
        set(CMAKE_CUDA_ARCHITECTURES ${_cards})
      endif()
    endif()
  endif()
  set(CMAKE_CUDA_STANDARD 17)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)

  # The arithmetic of the contract: nothing contracted, nothing flushed, division exact. As FLAGS in
  # tests/cuda/kernel_resources.py.
  file(GLOB _kernels CONFIGURE_DEPENDS csrc/cuda/*.cu)
  add_library(nexttoken_cuda OBJECT ${_kernels})
  target_compile_options(nexttoken_cuda PRIVATE --fmad=false -ftz=false -prec-div=true -prec-sqrt=true
    "SHELL:-Xcompiler -ffp-contract=off" "SHELL:-Werror all-warnings")
  set_target_properties(nexttoken_cuda PROPERTIES CUDA_VISIBILITY_PRESET hidden CUDA_RUNTIME_LIBRARY Static)

  pybind11_add_module(_cuda MODULE NO_EXTRAS csrc/bindings/cuda.cc csrc/bindings/device_batch.cc csrc/bindings/errors.cc
    csrc/cpu/history.cc csrc/cuda/device_runtime.cc $<TARGET_OBJECTS:nexttoken_cuda>)
  target_include_directories(_cuda PRIVATE csrc/cpu)
  target_link_libraries(_cuda PRIVATE CUDA::cudart_static)
  # Its copy of the runtime is nobody else's.
  target_link_options(_cuda PRIVATE -Wl,--exclude-libs,ALL)
  set_target_properties(_cuda PROPERTIES LINKER_LANGUAGE CXX)
  install(TARGETS _cuda DESTINATION nexttoken)
endif()
