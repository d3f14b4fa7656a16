# AArch64.cmake with clang: from clang 17 on, Highway compiles for more than NEON's baseline.
include(${CMAKE_CURRENT_LIST_DIR}/AArch64.cmake)
find_program(FUSEDFFN_AARCH64_CLANGXX NAMES clang++-19 clang++-22 clang++-21 clang++-20 clang++-18 clang++-17
                                            clang++-16 clang++ REQUIRED)
set(CMAKE_CXX_COMPILER ${FUSEDFFN_AARCH64_CLANGXX})
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)
# libstdc++ 12 uses what it has marked as deprecated, of which newer versions of clang warn.
set(CMAKE_CXX_FLAGS_INIT -Wno-deprecated-declarations)
