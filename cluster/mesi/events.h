// What has become of lines of late, on this node: for whoever asks why one is as it is
// (DCACHE.STATE), and for the log when the auditor finds that it should not be.
//
// Agent and Home note each transition that a message brings, or that sends one. What needs no
// message (a hit, a write by the owner) is not noted, and costs nothing. Of a line the latest 16
// are kept, of 1024 lines at most: 1.2 MB, allocated line by line as they come. A new line takes
// the place of one of four by its hash: of the one with the oldest event, but rather not of one
// that somebody has asked for in the last minute.
//
// Not thread-safe; used on the node thread. Its content decides nothing.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "cluster/mesi/messages.h"

namespace lockstep::mesi {

struct Event {
  enum class Kind : uint8_t {
    kHeard,     // `message` from `peer`.
    kSaid,      // `message` to it.
    kOwnRead,   // The home's own clients want the line,
    kOwnWrite,  // as this.
    kGone,      // The home knows that the cache of `peer` has nothing any more.
    kOver,      // The agent's session has ended, and with it all that it had.
    kDropped,   // By the agent, without a word.
    kLeft,      // This node is the home no more.
    kAdopted,   // By a home that begins, of what it was told.
  };
  MonoTime at{};
  Kind kind = Kind::kHeard;
  MessageType message = MessageType::kGetS;
  NodeId peer{};
  NodeId owner{};         // Of the line after it, as its home knows; kNoNode: it has none.
  const char* from = "";  // The line's states by name. Static.
  const char* to = "";
  uint64_t gen = 0;       // 0: it is about none.
  Version version{};      // Of the line's value, after it.
};
// "-12.345 s Inv from node 2: S -> I, version 3.9.0".
Bytes TextOf(const Event& event, MonoTime now);

class Events {
 public:
  static constexpr size_t kLinesMax = 1024;
  static constexpr size_t kEventsMax = 16;  // Of a line.
  static constexpr int64_t kKeptUs = 60 * kUsPerSecond;

  void Note(GroupId shard, BytesView key, const Event& event);
  // Only if something is known of the line: for what may happen to very many at once.
  void NoteIfKnown(BytesView key, const Event& event);
  // Of all lines of the shard; `from` is what each was noted to be.
  void NoteOfAll(GroupId shard, Event event);

  // The line's events, newest last. Somebody has asked for them: they are kept.
  std::vector<Bytes> Tell(MonoTime now, BytesView key) const;
  void Keep(MonoTime now, BytesView key) const { (void)Find(now, key); }
  size_t lines() const;

 private:
  static constexpr size_t kWays = 4;

  struct Ring {
    uint64_t hash = 0;
    GroupId shard;
    MonoTime kept_until{};
    uint64_t noted = 0;  // Ever; the latest stands before noted % kEventsMax.
    std::array<Event, kEventsMax> events;
    void Add(const Event& event) { events[noted++ % kEventsMax] = event; }
    const Event& Latest() const { return events[(noted - 1) % kEventsMax]; }
  };

  Ring* Find(uint64_t hash) const;
  Ring* Find(MonoTime now, BytesView key) const;
  Ring* Make(uint64_t hash, MonoTime now);

  std::array<std::unique_ptr<Ring>, kLinesMax> rings_;  // By hash, in sets of kWays.
};

}  // namespace lockstep::mesi
