// The log under a machine that is driven by hand: one operation an entry, kept while it is needed.
#pragma once

#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <utility>

#include "commands/state_machine.h"

namespace lockstep {

class MachineLog {
 public:
  // The operation is at the position's `data` until DropUnneeded.
  Position Add(Index index, ClusterTime time, BytesView op) {
    Bytes& entry = entries_[index];
    entry = op;
    return {index, time, index, entry};
  }
  // After the operation that was added last.
  void DropUnneeded(StateMachine* machine) {
    for (const Index entry : machine->TakeUnneeded()) entries_.erase(entry);
    if (entries_.empty() || machine->NeedsEntry(entries_.rbegin()->first)) return;
    entries_.erase(std::prev(entries_.end()));
  }
  // The reply, with what lies in the log in its place.
  Reply Read(Reply reply) const {
    for (Reply& item : reply.items) item = Read(std::move(item));
    if (reply.kind != Reply::Kind::kLogged) return reply;
    const auto entry = entries_.find(Index{reply.span.entry});
    EXPECT_NE(entry, entries_.end()) << "what is answered must be in the log";
    if (entry == entries_.end()) return Reply::Nil();
    return Reply::Bulk(entry->second.substr(reply.span.at, reply.span.size));
  }

 private:
  std::map<Index, Bytes> entries_;
};

}  // namespace lockstep
