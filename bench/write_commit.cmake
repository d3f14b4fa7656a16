# Writes OUTPUT, a header with the commit of SOURCE_DIR, and leaves it alone when nothing has changed.
execute_process(COMMAND git describe --always --dirty --abbrev=12 WORKING_DIRECTORY ${SOURCE_DIR}
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
string(JOIN "\n" content
  "#ifndef FUSEDFFN_BENCH_COMMIT_H_"
  "#define FUSEDFFN_BENCH_COMMIT_H_"
  "namespace fusedffn::bench {"
  "inline constexpr const char* kCommit = \"${commit}\";"
  "}  // namespace fusedffn::bench"
  "#endif  // FUSEDFFN_BENCH_COMMIT_H_"
  "")
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "${content}" @ONLY)
