#include "commands/acl_log.h"

#include <algorithm>

namespace lockstep {

void AclLog::AddRefusedLogin(MonoTime now, BytesView command, BytesView user, Bytes client_line) {
  user = user.substr(0, kUserBytesMax);
  const auto same = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.command == command && entry.user == user && now - entry.at <= kSameUs;
  });
  Entry entry;
  if (same != entries_.end()) {
    entry.count = same->count + 1;
    entries_.erase(same);
  }
  entry.command = command;
  entry.user = user;
  entry.at = now;
  entry.client_line = std::move(client_line);
  entries_.push_front(std::move(entry));
  if (entries_.size() > kEntriesMax) entries_.pop_back();
}

}  // namespace lockstep
