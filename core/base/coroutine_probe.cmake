# Refuses a compiler that destroys temporaries of a co_await expression twice. g++ 12 does: an aggregate that is braced in
# the arguments of an awaited call is destroyed by the caller's frame twice, at every optimisation level.
if(NOT DEFINED PGTORII_COROUTINES_SOUND)
  try_run(PGTORII_PROBE_EXIT PGTORII_PROBE_BUILT ${CMAKE_BINARY_DIR}/probe
    ${CMAKE_CURRENT_LIST_DIR}/coroutine_probe.cpp
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON
    COMPILE_OUTPUT_VARIABLE PGTORII_PROBE_OUTPUT)
  if(NOT PGTORII_PROBE_BUILT)
    message(FATAL_ERROR "${CMAKE_CXX_COMPILER} cannot compile a C++20 coroutine; use clang 19 (package clang-19).\n"
      "${PGTORII_PROBE_OUTPUT}")
  endif()
  if(NOT PGTORII_PROBE_EXIT EQUAL 0)
    message(FATAL_ERROR "${CMAKE_CXX_COMPILER} destroys temporaries of a co_await expression twice (g++ 12 does); "
      "use clang 19 (package clang-19).")
  endif()
  set(PGTORII_COROUTINES_SOUND TRUE CACHE INTERNAL "The compiler passed the coroutine probe")
endif()
