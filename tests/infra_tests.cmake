# The library as strangers use it. Not with a sanitizer or a cross-compiler: the consumer would have to be built
# with it, too.
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize" AND NOT CMAKE_CROSSCOMPILING)
  string(REPLACE ";" ":" prefix_path "$CACHE{CMAKE_PREFIX_PATH}")
  foreach(variant static shared)
    add_test(NAME consumer.${variant}
             COMMAND ${CMAKE_CURRENT_LIST_DIR}/consumer/run.sh ${variant}
                     ${PROJECT_BINARY_DIR}/consumer-${variant})
    set_tests_properties(consumer.${variant} PROPERTIES
      LABELS consumer TIMEOUT 900
      ENVIRONMENT "CMAKE=${CMAKE_COMMAND};CXX=${CMAKE_CXX_COMPILER};CMAKE_GENERATOR=${CMAKE_GENERATOR};CMAKE_PREFIX_PATH=${prefix_path}")
  endforeach()
endif()

# PyTorch's module as the reference: a small block with odd sizes for each activation that has one, and
# CLIP-L's.
set(python ${PROJECT_SOURCE_DIR}/build/venv/bin/python)
if(EXISTS ${python})
  foreach(case clip_l quick_gelu gelu gelu_tanh silu relu)
    set(options ${case} --dim 67 --hidden 131 --tokens 37 --dtype f32)
    if(case STREQUAL "clip_l")
      set(options quick_gelu)
    endif()
    list(JOIN options " " options)
    add_test(NAME torch.${case}
             COMMAND ${CMAKE_CURRENT_LIST_DIR}/torch_test.sh ${python} ${PROJECT_BINARY_DIR}/torch-${case}
                     "${options}" ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:fusedffn_program>)
    set_tests_properties(torch.${case} PROPERTIES LABELS torch TIMEOUT 600 SKIP_RETURN_CODE 77)
  endforeach()
else()
  message(STATUS "fusedffn: no PyTorch comparison: no Python in build/venv (tools/install_deps.sh --torch)")
endif()
