// Compiled once. A static object that is still there when others are destroyed, and for threads that outlive
// main().
#ifndef FUSEDFFN_SRC_SYSTEM_NEVER_DESTROYED_H_
#define FUSEDFFN_SRC_SYSTEM_NEVER_DESTROYED_H_

#include <new>

namespace fusedffn {
inline namespace v0_2 {

// In place, since `new` may fail.
template <class T>
class NeverDestroyed {
 public:
  NeverDestroyed() { new (memory_) T(); }
  T& get() { return *std::launder(reinterpret_cast<T*>(memory_)); }

 private:
  alignas(T) unsigned char memory_[sizeof(T)];
};

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_SYSTEM_NEVER_DESTROYED_H_
