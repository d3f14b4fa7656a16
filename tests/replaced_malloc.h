// The C library's allocation, replaced for the whole process. operator new calls malloc(). Included by one
// file of a program, which says what happens.
#ifndef FUSEDFFN_TESTS_REPLACED_MALLOC_H_
#define FUSEDFFN_TESTS_REPLACED_MALLOC_H_

#include <cerrno>
#include <cstddef>

namespace fusedffn {

bool RefuseAllocation();                        // asked before each
void OnAllocation(void* memory, size_t bytes);  // of each that succeeded
void OnFree(void* memory);                      // of each, and of what realloc() may move, before

inline bool Refused() {
  if (!RefuseAllocation()) return false;
  errno = ENOMEM;
  return true;
}

inline void* Allocated(void* memory, size_t bytes) {
  if (memory != nullptr) OnAllocation(memory, bytes);
  return memory;
}

}  // namespace fusedffn

extern "C" {

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* memory);

void* malloc(size_t bytes) noexcept {
  return fusedffn::Refused() ? nullptr : fusedffn::Allocated(__libc_malloc(bytes), bytes);
}

// Zeros stay.
void* calloc(size_t count, size_t bytes) noexcept {
  return fusedffn::Refused() ? nullptr : fusedffn::Allocated(__libc_calloc(count, bytes), 0);
}

// What has been written stays.
void* realloc(void* memory, size_t bytes) noexcept {
  if (fusedffn::Refused()) return nullptr;
  if (memory != nullptr) fusedffn::OnFree(memory);
  return fusedffn::Allocated(__libc_realloc(memory, bytes), 0);
}

void* memalign(size_t alignment, size_t bytes) noexcept {
  return fusedffn::Refused() ? nullptr : fusedffn::Allocated(__libc_memalign(alignment, bytes), bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) noexcept { return memalign(alignment, bytes); }

int posix_memalign(void** memory, size_t alignment, size_t bytes) noexcept {
  void* const allocated = memalign(alignment, bytes);
  if (allocated == nullptr) return ENOMEM;
  *memory = allocated;
  return 0;
}

void free(void* memory) noexcept {
  if (memory != nullptr) fusedffn::OnFree(memory);
  __libc_free(memory);
}
}

#endif  // FUSEDFFN_TESTS_REPLACED_MALLOC_H_
