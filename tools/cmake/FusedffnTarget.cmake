include(CheckCXXSymbolExists)

# fusedffn_settings(target): language level and warnings of every target of this project.
function(fusedffn_settings target)
  target_compile_features(${target} PUBLIC cxx_std_17)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  # No contraction: the kernels say where a multiply and an add are fused, and nothing else may be.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -ffp-contract=off)
  if(FUSEDFFN_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# fusedffn_header_only(target libraries...): for its sources only, so that who links the installed target needs none of
# them.
function(fusedffn_header_only target)
  foreach(library ${ARGN})
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${library}>)
  endforeach()
endfunction()

# fusedffn_simd(target): its sources that Highway compiles for every instruction set. Highway's headers alone: nothing
# that they have is in its library, and so neither a program nor an installed package needs that.
function(fusedffn_simd target)
  target_include_directories(${target} SYSTEM PRIVATE $<TARGET_PROPERTY:hwy::hwy,INTERFACE_INCLUDE_DIRECTORIES>)
  set(disabled ${FUSEDFFN_DISABLED_TARGETS})
  # SSE2's code runs on CPUs with SSSE3 or SSE4 as well, almost as fast: see bench/results/tuning.md. Not where the
  # compiler's flags make one of them the least that there is.
  check_cxx_symbol_exists(__SSSE3__ "" FUSEDFFN_ASSUMES_SSSE3)
  if(NOT FUSEDFFN_ASSUMES_SSSE3)
    list(APPEND disabled SSSE3 SSE4)
  endif()
  list(TRANSFORM disabled PREPEND "|HWY_" OUTPUT_VARIABLE others)
  list(JOIN others "" others)
  target_compile_definitions(${target} PRIVATE
    # Its assertions, in debug builds and under sanitizers, end in its library.
    HWY_IS_DEBUG_BUILD=0
    # AVX-512 with VNNI, Ice Lake's own: off by default in Highway.
    HWY_WANT_AVX3_DL
    # SVE vectors have no size at compile time, and the tile's accumulators are arrays of vectors.
    "HWY_DISABLED_TARGETS=(HWY_ALL_SVE${others})")
endfunction()
