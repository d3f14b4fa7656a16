# `cmake --install`: the headers, the libraries, a CMake package and pkg-config files.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Programs and the shared library find ours beside them, and Highway where this build found it if no dynamic
# linker looks there.
set(highway_is_private FALSE)
if(hwy_DIR)
  cmake_path(IS_PREFIX FUSEDFFN_DEPS_PREFIX ${hwy_DIR} NORMALIZE highway_is_private)
endif()
file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
set(CMAKE_INSTALL_RPATH $ORIGIN $ORIGIN/${bin_to_lib})
if(highway_is_private)
  list(APPEND CMAKE_INSTALL_RPATH $<TARGET_FILE_DIR:hwy::hwy>)
endif()
set_target_properties(fusedffn PROPERTIES INSTALL_RPATH "${CMAKE_INSTALL_RPATH}")

install(TARGETS fusedffn EXPORT FusedffnTargets)
install(FILES include/fusedffn/fusedffn.h include/fusedffn/tbb_executor.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fusedffn)

set(pc_files fusedffn)
if(FUSEDFFN_BUILD_IO)
  install(TARGETS fusedffn_files fusedffn_io EXPORT FusedffnTargets)
  install(FILES include/fusedffn/io.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fusedffn)
  list(APPEND pc_files fusedffn-io)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fusedffn)
set(highway_dependency)
if(NOT BUILD_SHARED_LIBS)
  set(highway_dependency "find_dependency(hwy 1.2)")
  if(highway_is_private)
    set(highway_dependency "find_dependency(hwy 1.2 HINTS ${hwy_DIR})")
  endif()
endif()
configure_package_config_file(tools/cmake/FusedffnConfig.cmake.in fusedffn-config.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(fusedffn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT FusedffnTargets NAMESPACE fusedffn:: DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/fusedffn-config.cmake
              ${PROJECT_BINARY_DIR}/fusedffn-config-version.cmake
        DESTINATION ${package_dir})

# Static: who links the library links these too. Shared: it brings them itself.
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(pc_requires_private)
if(NOT BUILD_SHARED_LIBS)
  set(pc_requires_private "libhwy >= 1.2")
endif()
list(TRANSFORM CMAKE_DL_LIBS PREPEND -l OUTPUT_VARIABLE pc_libs_private)
foreach(pc IN LISTS pc_files)
  configure_file(tools/cmake/${pc}.pc.in ${pc}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
