// How much to test: all of it in an optimized build, less under sanitizers and in debug builds.
#ifndef FUSEDFFN_TESTS_EFFORT_H_
#define FUSEDFFN_TESTS_EFFORT_H_

#include <cstdlib>
#include <cstring>

namespace fusedffn {

inline bool EnvironmentSays(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::strcmp(value, "0") != 0 && *value != '\0';
}

inline bool LightRun() {
#if defined(FUSEDFFN_TEST_LIGHT)
  return true;
#else
  return EnvironmentSays("FUSEDFFN_TEST_LIGHT");
#endif
}

template <class T>
T FullOrLight(T full, T light) {
  return LightRun() ? light : full;
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_EFFORT_H_
