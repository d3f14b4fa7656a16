# The file side and the program.
foreach(part accounting array_file atomic_file block_config c_api_io checkpoint checkpoint_blocks checkpoint_loader known_models layer_stack norm_weights npy pieces prefix_ranges safetensors)
  fusedffn_test(${part}_test SOURCES ${part}_test.cc LIBRARIES fusedffn_io)
endforeach()
target_sources(accounting_test PRIVATE ${PROJECT_SOURCE_DIR}/tools/fusedffn/accounting.cc
                                       ${PROJECT_SOURCE_DIR}/tools/fusedffn/units.cc)
target_sources(prefix_ranges_test PRIVATE ${PROJECT_SOURCE_DIR}/tools/fusedffn/prefix_ranges.cc)
target_link_libraries(accounting_test PRIVATE fmt::fmt)
target_link_libraries(prefix_ranges_test PRIVATE fmt::fmt)

set(command ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:fusedffn_program>)
list(JOIN command "\",\"" command)  # as C++ string literals
foreach(part program quantize_command tower_command)
  fusedffn_test(${part}_test SOURCES ${part}_test.cc LIBRARIES fusedffn_io)
  add_dependencies(${part}_test fusedffn_program)
  target_compile_definitions(${part}_test PRIVATE FUSEDFFN_PROGRAM="${command}")
endforeach()

# Preloaded, which neither the sanitizers nor an emulator go along with.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT CMAKE_CROSSCOMPILING AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  add_library(failing_calls MODULE failing_calls.cc)
  fusedffn_settings(failing_calls)
  target_link_libraries(failing_calls PRIVATE ${CMAKE_DL_LIBS})
  fusedffn_test(failing_calls_test SOURCES failing_calls_test.cc LIBRARIES fusedffn_io)
  add_dependencies(failing_calls_test fusedffn_program failing_calls)
  target_compile_definitions(failing_calls_test PRIVATE FUSEDFFN_PROGRAM="${command}"
                                                        FUSEDFFN_FAILING_CALLS="$<TARGET_FILE:failing_calls>")
endif()
