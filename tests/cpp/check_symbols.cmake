# cmake -DNM=... -DOBJECTS=... -P check_symbols.cmake
# An object compiled for a wider instruction set defines its one entry and nothing else that the linker can see: of two
# equal inline functions the linker keeps either, and a machine that lacks the instructions could be given the wide one.
foreach(_object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only --extern-only ${_object} OUTPUT_VARIABLE _symbols
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE "\n$" "" _symbols "${_symbols}")
  if(NOT _symbols MATCHES "^[0-9a-f]+ T _ZN9nexttoken[0-9]+Avx[0-9]+RowKernelEv$")
    message(FATAL_ERROR "${_object} must define its row kernel's entry alone, got\n${_symbols}")
  endif()
  # What it calls is compiled once, for every machine: libc and libm, nothing of the C++ library.
  execute_process(COMMAND ${NM} --undefined-only --format=posix ${_object} OUTPUT_VARIABLE _calls
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^ \n]+ U" _calls "${_calls}")
  foreach(_call IN LISTS _calls)
    if(NOT _call MATCHES "^(exp|log|fmaf|memcpy|memset|memmove|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_) U$")
      message(FATAL_ERROR "${_object} must call nothing but libc and libm, got ${_call}")
    endif()
  endforeach()
endforeach()
