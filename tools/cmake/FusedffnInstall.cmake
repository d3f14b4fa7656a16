# `cmake --install`: the headers, the libraries, a CMake package, pkg-config files and licenses. No file has a path of
# this machine's: the prefix may be moved.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# The program finds a shared library of ours beside it, wherever the prefix is moved.
file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
set(CMAKE_INSTALL_RPATH $ORIGIN/${bin_to_lib})

# What a C++ linker adds by itself, for a C one that links a static library.
set(cxx_libraries ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
list(FILTER cxx_libraries INCLUDE REGEX "^(stdc\\+\\+|c\\+\\+|m)$")
list(REMOVE_DUPLICATES cxx_libraries)
set(for_c_linkers "$<INSTALL_INTERFACE:$<$<LINK_LANGUAGE:C>:${cxx_libraries}>>")
if(NOT BUILD_SHARED_LIBS)
  target_link_libraries(fusedffn INTERFACE ${for_c_linkers})
endif()

install(TARGETS fusedffn EXPORT FusedffnTargets)
install(FILES include/fusedffn/fusedffn.h include/fusedffn/fusedffn_c.h include/fusedffn/tbb_executor.h
              include/fusedffn/version.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fusedffn)

install(FILES LICENSE THIRD_PARTY_NOTICES DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(pc_files fusedffn)
if(FUSEDFFN_BUILD_IO)
  target_link_libraries(fusedffn_files INTERFACE ${for_c_linkers})
  install(TARGETS fusedffn_files fusedffn_io EXPORT FusedffnTargets)
  install(FILES include/fusedffn/io.h include/fusedffn/fusedffn_io_c.h
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fusedffn)
  list(APPEND pc_files fusedffn-io)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fusedffn)
configure_package_config_file(tools/cmake/FusedffnConfig.cmake.in fusedffn-config.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(fusedffn-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT FusedffnTargets NAMESPACE fusedffn:: DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/fusedffn-config.cmake
              ${PROJECT_BINARY_DIR}/fusedffn-config-version.cmake
        DESTINATION ${package_dir})

# Static: who links the library links these too, from C as well. Shared: it brings them itself.
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
list(TRANSFORM cxx_libraries PREPEND -l OUTPUT_VARIABLE pc_cxx_libs)
list(JOIN pc_cxx_libs " " pc_cxx_libs)
list(TRANSFORM CMAKE_DL_LIBS PREPEND -l OUTPUT_VARIABLE pc_dl_libs)
foreach(pc IN LISTS pc_files)
  configure_file(tools/cmake/${pc}.pc.in ${pc}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
