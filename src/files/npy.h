// Compiled once. NumPy's .npy format, of which little-endian float32 in C order is taken:
//
//   "\x93NUMPY" | major, minor | header length: 2 bytes (version 1) or 4 (2 and 3) | header | the elements
//   {'descr': '<f4', 'fortran_order': False, 'shape': (1, 257, 1024), }
#ifndef FUSEDFFN_SRC_FILES_NPY_H_
#define FUSEDFFN_SRC_FILES_NPY_H_

#include <string>

#include "src/files/array_file.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// The file must be exactly as long as its header says. Throws Error.
Array ReadNpy(const std::string& path);

// Version 1, whole or not at all. Throws Error.
void WriteNpy(const std::string& path, const Array& array);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_FILES_NPY_H_
