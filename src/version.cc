#include "fusedffn/fusedffn.h"

namespace fusedffn {

const char* Version() noexcept { return FUSEDFFN_VERSION; }

}  // namespace fusedffn
