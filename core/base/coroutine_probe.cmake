# Refuses a compiler that destroys temporaries of a co_await expression twice. g++ 12 does: a braced temporary passed to
# a coroutine is freed by the callee's frame and by the caller's, at every optimisation level.
if(NOT DEFINED PGTORII_COROUTINES_SOUND)
  file(WRITE ${CMAKE_BINARY_DIR}/coroutine_probe.cpp [=[
#include <coroutine>
#include <cstdlib>
#include <utility>

int alive = 0;
struct counted {
    counted() { ++alive; }
    counted(const counted&) { ++alive; }
    counted(counted&&) noexcept { ++alive; }
    ~counted() { --alive; }
};
struct request { counted name; int number; };
struct task {
    struct promise_type {
        task get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::abort(); }
    };
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    void await_resume() const noexcept {}
    std::coroutine_handle<promise_type> handle;
};
task callee(request taken) { (void)taken; co_return; }
task caller() { co_await callee({.name = counted{}, .number = 1}); }
int main()
{
    task outer = caller();
    outer.handle.destroy();
    return alive < 0 ? 1 : 0;  // below zero: something was destroyed twice
}
]=])
  try_run(PGTORII_PROBE_EXIT PGTORII_PROBE_BUILT ${CMAKE_BINARY_DIR}/probe ${CMAKE_BINARY_DIR}/coroutine_probe.cpp
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON
    COMPILE_OUTPUT_VARIABLE PGTORII_PROBE_OUTPUT)
  if(NOT PGTORII_PROBE_BUILT)
    message(FATAL_ERROR "${CMAKE_CXX_COMPILER} cannot compile a C++20 coroutine; use clang 19 (package clang-19).\n"
      "${PGTORII_PROBE_OUTPUT}")
  endif()
  if(NOT PGTORII_PROBE_EXIT EQUAL 0)
    message(FATAL_ERROR "${CMAKE_CXX_COMPILER} frees temporaries of a co_await expression twice (g++ 12 does); "
      "use clang 19 (package clang-19).")
  endif()
  set(PGTORII_COROUTINES_SOUND TRUE CACHE INTERNAL "The compiler passed the coroutine probe")
endif()
