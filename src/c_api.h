// Compiled once. What both parts of the C interface are made of: its handles, its structs as the C++ ones,
// and how a Status leaves. Inline, since fusedffn_io has it beside a shared library as well.
#ifndef FUSEDFFN_SRC_C_API_H_
#define FUSEDFFN_SRC_C_API_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "fusedffn/fusedffn.h"
#include "fusedffn/fusedffn_c.h"

struct fusedffn_block {
  fusedffn::PackedFfn packed;
};
struct fusedffn_linear {
  fusedffn::PackedLinear packed;
};

namespace fusedffn {
inline namespace v0_2 {

// Where a function's message goes.
struct ErrorText {
  char* text;
  size_t bytes;

  fusedffn_status Report(const Status& status) const noexcept {
    if (text != nullptr && bytes != 0) {
      const size_t length = std::min(std::strlen(status.message()), bytes - 1);
      std::memcpy(text, status.message(), length);
      text[length] = '\0';
    }
    return static_cast<fusedffn_status>(status.code());
  }
};

inline Status NullArgument(const char* name) noexcept {
  return Status(StatusCode::kInvalidArgument, "%s is null", name);
}

// A caller's struct may be one of an older header, or of a newer one. No struct is near 4096 bytes: that is
// no size.
inline Status CheckStructSize(const char* name, size_t size, size_t known) noexcept {
  if (size >= sizeof(size_t) && size % sizeof(size_t) == 0 && size <= 4096) return Status();
  return Status(StatusCode::kInvalidArgument,
                "%s.struct_size is %zu; it must be sizeof(%s), which is %zu here", name, size, name, known);
}

// *to = *from, with 0 in what a smaller one does not have; null stands for a struct of zeros.
template <class Struct>
Status ReadStruct(const char* name, const Struct* from, Struct* to) noexcept {
  *to = Struct();
  if (from == nullptr) return Status();
  size_t size = 0;
  std::memcpy(&size, from, sizeof(size));
  Status status = CheckStructSize(name, size, sizeof(Struct));
  if (!status.ok()) return status;
  const char* const bytes = reinterpret_cast<const char*>(from);
  const size_t known = std::min(size, sizeof(Struct));
  if (!std::all_of(bytes + known, bytes + size, [](char byte) { return byte == 0; })) {
    return Status(
        StatusCode::kInvalidArgument,
        "%s has fields that version %s of the library does not know, and that are not 0: it knows %zu of the "
        "%zu bytes",
        name, Version(), known, size);
  }
  std::memcpy(to, bytes, known);
  return status;
}

// *to = from, as far as the caller's struct goes, but for its size; what is not known of it becomes 0.
template <class Struct>
Status WriteStruct(const char* name, const Struct& from, Struct* to) noexcept {
  size_t size = 0;
  std::memcpy(&size, to, sizeof(size));
  Status status = CheckStructSize(name, size, sizeof(Struct));
  if (!status.ok()) return status;
  char* const bytes = reinterpret_cast<char*>(to);
  const size_t known = std::min(size, sizeof(Struct));
  std::memset(bytes + known, 0, size - known);
  std::memcpy(bytes + sizeof(size), reinterpret_cast<const char*>(&from) + sizeof(size),
              known - sizeof(size));
  return status;
}

// 0 stands for the default; what is no size of a group is refused where it is used.
inline size_t Int8GroupFrom(int32_t group) noexcept {
  return group == 0 ? kInt8GroupSize : static_cast<size_t>(std::max(group, 0));
}

inline Status PackOptionsFrom(const fusedffn_pack_options* from, PackOptions* options) noexcept {
  fusedffn_pack_options read;
  Status status = ReadStruct("fusedffn_pack_options", from, &read);
  *options = {read.target, static_cast<Precision>(read.precision), Int8GroupFrom(read.int8_group),
              read.threads, read.flush_denormals != 0};
  return status;
}

// *handle = a new one, if make(it) succeeds.
template <class Handle, class Make>
Status MakeHandle(const char* name, Handle** handle, const Make& make) noexcept {
  if (handle == nullptr) return NullArgument(name);
  std::unique_ptr<Handle> made(new (std::nothrow) Handle);
  if (made == nullptr) return Status(StatusCode::kOutOfMemory, "no memory for a handle");
  Status status = make(made.get());
  if (status.ok()) *handle = made.release();
  return status;
}

}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_C_API_H_
