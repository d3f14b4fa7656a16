#include "fusedffn/fusedffn.h"

namespace fusedffn {
inline namespace v0_2 {

const char* Version() noexcept { return FUSEDFFN_VERSION; }

}  // namespace v0_2
}  // namespace fusedffn
