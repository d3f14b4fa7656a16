/* The version of these headers, for C and C++; fusedffn::Version() and fusedffn_version() have that of the
 * library. */
#ifndef FUSEDFFN_VERSION_H_
#define FUSEDFFN_VERSION_H_

#define FUSEDFFN_VERSION_MAJOR 0
#define FUSEDFFN_VERSION_MINOR 2
#define FUSEDFFN_VERSION_PATCH 0

#endif /* FUSEDFFN_VERSION_H_ */
