// Refused logins, as ACL LOG shows them: who tried, from where, how often.
#pragma once

#include <deque>

#include "src/base/bytes.h"
#include "src/base/time.h"

namespace lockstep {

class AclLog {
 public:
  static constexpr size_t kEntriesMax = 128;
  static constexpr size_t kUserBytesMax = 128;          // Of what an attacker may make up.
  static constexpr int64_t kSameUs = 60 * kUsPerSecond;  // Repeats within it are one entry.

  struct Entry {
    uint64_t count = 1;
    Bytes command;      // "auth" or "hello".
    Bytes user;
    MonoTime at;        // The latest.
    Bytes client_line;  // CLIENT LIST's, without the newline.
  };
  void AddRefusedLogin(MonoTime now, BytesView command, BytesView user, Bytes client_line);
  const std::deque<Entry>& entries() const { return entries_; }  // Newest first.
  void Clear() { entries_.clear(); }

 private:
  std::deque<Entry> entries_;
};

}  // namespace lockstep
