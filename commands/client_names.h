// Rules for what a client calls itself, shared by CLIENT SETNAME, CLIENT SETINFO and HELLO SETNAME.
#pragma once

#include <algorithm>
#include <optional>

#include "src/resp/reply.h"

namespace lockstep {

// CLIENT LIST separates its fields by blanks, so nothing in it may hold one.
inline bool IsListable(BytesView text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

// The error, if the name is refused; nothing has changed then.
inline std::optional<Reply> SetClientName(BytesView name, Bytes* out) {
  if (!IsListable(name)) {
    return Reply::Error("ERR",
                        "Client names cannot contain spaces, newlines or special characters.");
  }
  *out = name;
  return std::nullopt;
}

}  // namespace lockstep
