// Memory between two pages that may not be touched, so that a step outside ends the test at once.
#ifndef FUSEDFFN_TESTS_GUARDED_BUFFER_H_
#define FUSEDFFN_TESTS_GUARDED_BUFFER_H_

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#include "kernels/gemm.h"

namespace fusedffn {

// Which of the two pages the data touches.
enum class Flush { kLeft, kRight };

// Repeated from a buffer's first page: a signaling NaN as fp32 and bf16, a NaN as fp16.
inline constexpr uint32_t kPoisonBits = 0x7FA57FA5;

// `count` elements, poisoned, flush to one of the guard pages. The bytes between the data and the other
// guard page are poisoned as well; GapIsUntouched() says whether they still are.
template <class T>
class GuardedBuffer {
 public:
  GuardedBuffer(size_t count, Flush flush) : count_(count) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    inner_bytes_ = RoundUp(std::max<size_t>(1, count * sizeof(T)), page);
    mapped_bytes_ = inner_bytes_ + 2 * page;
    void* mapped = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    mapped_ = static_cast<unsigned char*>(mapped);
    inner_ = mapped_ + page;
    if (mprotect(inner_, inner_bytes_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    gap_ = inner_bytes_ - count * sizeof(T);
    data_ = inner_ + (flush == Flush::kRight ? gap_ : 0);
    Poison();
  }

  GuardedBuffer(const std::vector<T>& values, Flush flush) : GuardedBuffer(values.size(), flush) {
    std::memcpy(data_, values.data(), values.size() * sizeof(T));
  }

  ~GuardedBuffer() { munmap(mapped_, mapped_bytes_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  T* data() { return reinterpret_cast<T*>(data_); }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data()[i]; }

  void Poison() {
    std::fill_n(reinterpret_cast<uint32_t*>(inner_), inner_bytes_ / sizeof(uint32_t), kPoisonBits);
  }

  bool GapIsUntouched() const {
    const unsigned char* gap = data_ == inner_ ? inner_ + inner_bytes_ - gap_ : inner_;
    for (const unsigned char* byte = gap; byte < gap + gap_; ++byte) {
      if (*byte != reinterpret_cast<const unsigned char*>(&kPoisonBits)[(byte - inner_) % 4]) return false;
    }
    return true;
  }

 private:
  size_t count_, inner_bytes_, mapped_bytes_, gap_;
  unsigned char *mapped_, *inner_, *data_;
};

// Makes further accesses to a buffer's data fault: what a library may no longer read once it has copied it.
template <class T>
void Forbid(GuardedBuffer<T>& buffer) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t start = reinterpret_cast<uintptr_t>(buffer.data()) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(buffer.data() + buffer.size());
  mprotect(reinterpret_cast<void*>(start), end - start, PROT_NONE);
}

}  // namespace fusedffn

#endif  // FUSEDFFN_TESTS_GUARDED_BUFFER_H_
