# Finds what the enabled parts need: the enclosing project's own target, else an installed package that is
# new enough, else a pinned release by FetchContent. The library itself needs Highway's headers, no more, and installed
# nothing of it; tests and benchmarks use oneTBB, as programs do that bring their own arena (fusedffn/tbb_executor.h).
include(FetchContent)

# Where tools/install_deps.sh puts what the system's package manager does not have.
set(FUSEDFFN_DEPS_PREFIX ${PROJECT_SOURCE_DIR}/build/deps/usr)
if(EXISTS ${FUSEDFFN_DEPS_PREFIX})
  list(APPEND CMAKE_PREFIX_PATH ${FUSEDFFN_DEPS_PREFIX})
endif()

# fusedffn_dependency(package version target repository tag). What is fetched stays out of `cmake --install`: no program
# that links the installed library needs it.
function(fusedffn_dependency package version target repository tag)
  if(TARGET ${target})
    message(STATUS "fusedffn: ${target} from the enclosing project")
    return()
  endif()
  find_package(${package} ${version} QUIET)
  if(TARGET ${target})
    message(STATUS "fusedffn: ${package} ${${package}_VERSION} from ${${package}_DIR}")
    # A project that add_subdirectory()s this one links these through the static library, and looks their
    # names up in its own folder. All of the package's, because config files reject a part of them.
    get_directory_property(imported IMPORTED_TARGETS)
    set_target_properties(${imported} PROPERTIES IMPORTED_GLOBAL TRUE)
    return()
  endif()
  message(STATUS "fusedffn: no ${package} >= ${version} installed: fetching ${repository} ${tag}")
  # A folder that does not exist: MakeAvailable() then downloads only, and the folder is added below, since
  # its own EXCLUDE_FROM_ALL needs CMake 3.28.
  cmake_path(GET repository STEM name)
  fusedffn_require_reachable(${name} "${package} >= ${version}" ${repository} ${tag})
  FetchContent_Declare(${name} GIT_REPOSITORY ${repository} GIT_TAG ${tag} GIT_SHALLOW ON
                       SOURCE_SUBDIR fusedffn-adds-it-below)
  FetchContent_MakeAvailable(${name})
  fusedffn_add_fetched(${name})
  if(NOT TARGET ${target})
    string(REGEX REPLACE ".*::" "" plain_name ${target})  # Highway has no alias in its own tree
    add_library(${target} ALIAS ${plain_name})
  endif()
endfunction()

# FetchContent's own error, where there is no network, says neither what is missing nor what to do.
function(fusedffn_require_reachable name what repository tag)
  string(TOUPPER ${name} upper)
  string(TOLOWER ${name} lower)
  if(FETCHCONTENT_FULLY_DISCONNECTED OR FETCHCONTENT_SOURCE_DIR_${upper} OR
     EXISTS ${FETCHCONTENT_BASE_DIR}/${lower}-src/CMakeLists.txt)
    return()
  endif()
  find_package(Git QUIET)
  set(failed "there is no git")
  if(Git_FOUND)
    execute_process(COMMAND ${CMAKE_COMMAND} -E env GIT_TERMINAL_PROMPT=0
                            ${GIT_EXECUTABLE} ls-remote --exit-code ${repository} ${tag}
                    TIMEOUT 60 RESULT_VARIABLE failed ERROR_VARIABLE error OUTPUT_QUIET)
    string(STRIP "git says: ${error}" error)
  endif()
  if(failed)
    message(FATAL_ERROR
      "fusedffn needs ${what}, which is not installed where CMake looks, and cannot be fetched from ${repository} "
      "(${failed}; ${error}). One of these will do:\n"
      "  tools/install_deps.sh, which installs all that is needed on Debian and Ubuntu\n"
      "  -DCMAKE_PREFIX_PATH=PREFIX, where PREFIX has it installed\n"
      "  -DFETCHCONTENT_SOURCE_DIR_${upper}=FOLDER, where FOLDER has its source, ${tag} for example")
  endif()
endfunction()

# The fetched sources as a part of this build: their libraries only, and only those that something links.
function(fusedffn_add_fetched name)
  string(TOLOWER ${name} lower)
  # Older sources set their options as CMake before 3.13 and 3.21 did, which would ignore the values here;
  # CMake 4 refuses the oldest unless told that they are fine, and warns of the others' old ways.
  set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
  set(CMAKE_POLICY_DEFAULT_CMP0126 NEW)
  set(CMAKE_POLICY_VERSION_MINIMUM 3.5)
  set(CMAKE_WARN_DEPRECATED OFF)
  set(BUILD_TESTING OFF)
  set(BENCHMARK_ENABLE_TESTING OFF)
  set(BENCHMARK_ENABLE_WERROR OFF)
  set(HWY_ENABLE_CONTRIB OFF)
  set(HWY_ENABLE_EXAMPLES OFF)
  set(HWY_ENABLE_TESTS OFF)
  set(TBBMALLOC_BUILD OFF)
  set(TBB_STRICT OFF)
  set(TBB_TEST OFF)
  # Everything static, except oneTBB: two schedulers in one process would fight over its cores.
  set(BUILD_SHARED_LIBS OFF)
  if(name STREQUAL "oneTBB")
    set(BUILD_SHARED_LIBS ON)
  endif()
  set(options EXCLUDE_FROM_ALL)
  if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.25)
    list(APPEND options SYSTEM)  # our warnings are not for their headers
  endif()
  add_subdirectory(${${lower}_SOURCE_DIR} ${${lower}_BINARY_DIR} ${options})
endfunction()

fusedffn_dependency(hwy 1.2 hwy::hwy https://github.com/google/highway.git 1.2.0)
find_package(Threads REQUIRED)
if(FUSEDFFN_BUILD_TESTS OR FUSEDFFN_BUILD_BENCH)
  fusedffn_dependency(TBB 2021 TBB::tbb https://github.com/uxlfoundation/oneTBB.git v2022.1.0)
endif()
if(FUSEDFFN_NEED_PROGRAM)
  fusedffn_dependency(CLI11 2.1 CLI11::CLI11 https://github.com/CLIUtils/CLI11.git v2.5.0)
endif()
if(FUSEDFFN_BUILD_IO)
  fusedffn_dependency(fmt 8.1 fmt::fmt https://github.com/fmtlib/fmt.git 11.2.0)
endif()
if(FUSEDFFN_BUILD_IO OR FUSEDFFN_BUILD_BENCH)
  fusedffn_dependency(nlohmann_json 3.10 nlohmann_json::nlohmann_json https://github.com/nlohmann/json.git
                      v3.11.3)
endif()
if(FUSEDFFN_BUILD_TESTS)
  fusedffn_dependency(GTest 1.11 GTest::gtest_main https://github.com/google/googletest.git v1.17.0)
endif()
if(FUSEDFFN_BUILD_BENCH)
  fusedffn_dependency(benchmark 1.6 benchmark::benchmark https://github.com/google/benchmark.git v1.9.4)
endif()
