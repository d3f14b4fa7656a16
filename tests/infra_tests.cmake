# The library as strangers use it: the build at hand in its own variant. Not with a sanitizer or a cross-compiler: the
# consumer would have to be built with it, too.
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize" AND NOT CMAKE_CROSSCOMPILING)
  string(REPLACE ";" ":" prefix_path "$CACHE{CMAKE_PREFIX_PATH}")
  foreach(variant static shared)
    set(build_at_hand)
    if((variant STREQUAL shared AND BUILD_SHARED_LIBS) OR (variant STREQUAL static AND NOT BUILD_SHARED_LIBS))
      set(build_at_hand ${PROJECT_BINARY_DIR})
    endif()
    add_test(NAME consumer.${variant}
             COMMAND ${CMAKE_CURRENT_LIST_DIR}/consumer/run.sh ${variant}
                     ${PROJECT_BINARY_DIR}/consumer-${variant} ${build_at_hand})
    set_tests_properties(consumer.${variant} PROPERTIES
      LABELS consumer TIMEOUT 900
      ENVIRONMENT "CMAKE=${CMAKE_COMMAND};CXX=${CMAKE_CXX_COMPILER};CMAKE_GENERATOR=${CMAKE_GENERATOR};CMAKE_PREFIX_PATH=${prefix_path}")
  endforeach()
endif()

# Of the preset "hardened".
if(CMAKE_CXX_FLAGS MATCHES "_FORTIFY_SOURCE")
  add_test(NAME hardening COMMAND ${CMAKE_CURRENT_LIST_DIR}/hardening_test.sh $<TARGET_FILE:fusedffn_program>)
endif()

# PyTorch's module as the reference: a small block with odd sizes for each activation that has one, and
# CLIP-L's.
set(python ${PROJECT_SOURCE_DIR}/build/venv/bin/python)
if(EXISTS ${python})
  foreach(case clip_l quick_gelu gelu gelu_tanh silu relu hardswish)
    set(activation ${case})
    set(options "--dim 67 --hidden 131 --tokens 37 --dtype f32")
    if(case STREQUAL "clip_l")
      set(activation quick_gelu)
      set(options)
    endif()
    add_test(NAME torch.${case}
             COMMAND ${CMAKE_CURRENT_LIST_DIR}/torch_test.sh ${python} ${PROJECT_BINARY_DIR}/torch-${case}
                     ${activation} "${options}" ${CMAKE_CROSSCOMPILING_EMULATOR}
                     $<TARGET_FILE:fusedffn_program>)
    set_tests_properties(torch.${case} PROPERTIES LABELS torch TIMEOUT 600 SKIP_RETURN_CODE 77)
  endforeach()
  # Gated blocks, each with its model's sizes and with small odd ones.
  foreach(case deepseek_real_bf16 deepseek_small_f32 qwen2_real_f32 qwen2_small_bf16)
    string(REPLACE "_" ";" arguments ${case})
    add_test(NAME torch.${case}
             COMMAND ${python} -B ${CMAKE_CURRENT_LIST_DIR}/torch_gated_test.py ${PROJECT_BINARY_DIR}/torch-${case}
                     ${arguments} ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:fusedffn_program>)
    set_tests_properties(torch.${case} PROPERTIES LABELS torch TIMEOUT 600 SKIP_RETURN_CODE 77)
  endforeach()
  # A LayerNorm before each block, and a residual.
  foreach(sizes real small)
    add_test(NAME torch.transformer_${sizes}
             COMMAND ${python} -B ${CMAKE_CURRENT_LIST_DIR}/torch_transformer_test.py
                     ${PROJECT_BINARY_DIR}/torch-transformer-${sizes} ${sizes}
                     ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:fusedffn_program>)
    set_tests_properties(torch.transformer_${sizes} PROPERTIES LABELS torch TIMEOUT 600 SKIP_RETURN_CODE 77)
  endforeach()
  # Checkpoints as Hugging Face's transformers saves them.
  add_test(NAME torch.transformers
           COMMAND ${python} -B ${CMAKE_CURRENT_LIST_DIR}/transformers_test.py ${PROJECT_BINARY_DIR}/torch-transformers
                   ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:fusedffn_program>)
  set_tests_properties(torch.transformers PROPERTIES LABELS torch TIMEOUT 600 SKIP_RETURN_CODE 77)
else()
  message(STATUS "fusedffn: no PyTorch comparison: no Python in build/venv (tools/install_deps.sh --torch)")
endif()

if(FUSEDFFN_PYTHON3)
  add_test(NAME links COMMAND ${FUSEDFFN_PYTHON3} -B ${CMAKE_CURRENT_LIST_DIR}/links_test.py)
endif()

# The tools that measure, on this build against itself, and against plain loops.
if(FUSEDFFN_PYTHON3 AND TARGET peer_ours AND NOT CMAKE_CROSSCOMPILING)
  add_test(NAME tools.ab
           COMMAND ${FUSEDFFN_PYTHON3} -B ${PROJECT_SOURCE_DIR}/tools/ab.py ${PROJECT_BINARY_DIR} ${PROJECT_BINARY_DIR}
                   --block deepseek_expert --tokens 1 --rounds 1 --seconds 0.01)
  set_tests_properties(tools.ab PROPERTIES TIMEOUT 600 PASS_REGULAR_EXPRESSION "1 tokens: A .*ratio")
  add_test(NAME tools.scaling
           COMMAND ${FUSEDFFN_PYTHON3} -B ${PROJECT_SOURCE_DIR}/tools/scaling.py --build ${PROJECT_BINARY_DIR}
                   --block deepseek_expert --tokens 1 --threads 1 2 --rounds 1 --seconds 0.01)
  set_tests_properties(tools.scaling PROPERTIES TIMEOUT 600 PASS_REGULAR_EXPRESSION "1 . [0-9.]+, 1.00x, .* %")
  add_test(NAME peers.compare
           COMMAND ${FUSEDFFN_PYTHON3} -B ${PROJECT_SOURCE_DIR}/bench/peers/compare_peers.py --build ${PROJECT_BINARY_DIR}
                   --out ${PROJECT_BINARY_DIR}/peers-compare --fresh --peers naive --tokens 1 --threads 1 --isa best
                   --rounds 1 --seconds 0.01)
  set_tests_properties(peers.compare PROPERTIES TIMEOUT 600 PASS_REGULAR_EXPRESSION "1 . [0-9.]+ .* naive . [0-9.]+ ")
endif()

# Every instruction set below AVX-512, which QEMU does not have: the newest model shows that it is left alone.
# An illegal instruction ends a test there as on the CPU itself.
find_program(FUSEDFFN_QEMU_X86_64 qemu-x86_64)
if(FUSEDFFN_QEMU_X86_64 AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT BUILD_SHARED_LIBS AND
   NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  foreach(cpu_and_target Opteron_G1:SSE2 SandyBridge:SSE2 Haswell,-fma:SSE2 Haswell:AVX2 EPYC:AVX2
                         Icelake-Server:AVX2)
    string(REGEX MATCH "^(.*):(.*)$" matched ${cpu_and_target})
    add_test(NAME old_cpu.${CMAKE_MATCH_1}
             COMMAND ${CMAKE_CURRENT_LIST_DIR}/old_cpu_test.sh ${FUSEDFFN_QEMU_X86_64} ${CMAKE_MATCH_1}
                     ${CMAKE_MATCH_2} ${PROJECT_BINARY_DIR})
    set_tests_properties(old_cpu.${CMAKE_MATCH_1} PROPERTIES LABELS old_cpu TIMEOUT 1500)
  endforeach()
endif()
