# The clang that this project is tested with, else any: the presets' toolchain file.
find_program(FUSEDFFN_CLANGXX NAMES clang++-16 clang++ clang++-22 clang++-21 clang++-20 clang++-19 clang++-18
                                    clang++-17 REQUIRED)
set(CMAKE_CXX_COMPILER ${FUSEDFFN_CLANGXX})
