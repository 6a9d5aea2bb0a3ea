// Rules for what a client calls itself, shared by CLIENT SETNAME, CLIENT SETINFO and HELLO SETNAME.
#pragma once

#include <algorithm>
#include <optional>

#include "src/base/limits.h"
#include "src/resp/reply.h"

namespace lockstep {

// CLIENT LIST separates its fields by blanks, so nothing in it may hold one.
inline bool IsListable(BytesView text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

// `what` names it in the error.
inline std::optional<Reply> RefuseLongName(const char* what, BytesView name) {
  if (name.size() <= kNameBytesMax) return std::nullopt;
  return Reply::Error("LIMIT", Format("%s has %zu bytes, at most %zu are allowed; nothing was "
                                      "changed",
                                      what, name.size(), kNameBytesMax));
}

// The error, if the name is refused; nothing has changed then.
inline std::optional<Reply> SetClientName(BytesView name, Bytes* out) {
  if (auto refused = RefuseLongName("client name", name)) return refused;
  if (!IsListable(name)) {
    return Reply::Error("ERR",
                        "Client names cannot contain spaces, newlines or special characters.");
  }
  *out = name;
  return std::nullopt;
}

}  // namespace lockstep
