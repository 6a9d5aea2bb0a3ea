// A client's connection as the commands see it. Owned by its session; lives on the node thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "cluster/mesi/line.h"

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/time.h"

namespace lockstep {

// CLIENT TRACKING's options, as CLIENT TRACKINGINFO tells them.
struct TrackingOptions {
  bool bcast = false;
  bool optin = false;
  bool optout = false;
  bool noloop = false;
  bool caching = false;  // CLIENT CACHING YES (optin) or NO (optout), for the next command.
  ClientId redirect;     // 0: to itself.
  std::set<Bytes, std::less<>> prefixes;
};

struct Client {
  ClientId id;
  int fd = -1;          // For CLIENT LIST only; -1 where there is none.
  Bytes address;        // "ip:port" of the peer, as in CLIENT LIST.
  Bytes local_address;  // "laddr".
  Bytes name;
  Bytes library_name;
  Bytes library_version;
  Bytes user = "default";
  bool loopback = false;  // Comes from this machine.
  int protocol = 2;       // RESP2 or RESP3.
  bool authenticated = true;
  MonoTime connected_at;
  MonoTime last_active;
  Bytes last_command;   // "client|list", as in CLIENT LIST's cmd=.

  // Modes.
  bool monitor = false;
  bool bus_tap = false;    // DEBUG BUS TAP ON.
  bool readonly = false;   // READONLY.
  bool no_evict = false;
  bool no_touch = false;
  bool tracking = false;
  TrackingOptions tracking_options;  // Meaningful while `tracking`.
  enum class ReplyMode : uint8_t { kOn, kOff, kSkipNext } reply_mode = ReplyMode::kOn;
  bool close_after_reply = false;  // QUIT, and errors of the protocol.

  // MULTI. `queued` is how many commands wait for EXEC; -1 outside MULTI.
  int64_t queued = -1;
  size_t queued_bytes = 0;
  bool dirty_exec = false;  // A command was refused while queueing: EXEC answers EXECABORT.
  bool in_multi() const { return queued >= 0; }
  // WATCH: what EXEC must find unchanged.
  std::map<Bytes, mesi::Version, std::less<>> watched;

  // Waiting: since when, and for what ("lock:jobs"); empty if not blocked.
  Bytes waiting_for;

  // Subscriptions.
  std::set<Bytes, std::less<>> channels;
  std::set<Bytes, std::less<>> patterns;
  std::set<Bytes, std::less<>> shard_channels;
  size_t subscriptions() const { return channels.size() + patterns.size() + shard_channels.size(); }
  // RESP2: only the SUBSCRIBE family, PING, QUIT and RESET are allowed then.
  bool restricted_by_subscription() const { return protocol == 2 && subscriptions() > 0; }

  // Figures of the session for CLIENT LIST.
  size_t input_buffered = 0;
  size_t input_capacity = 0;
  size_t output_buffered = 0;
  uint64_t commands = 0;
};

}  // namespace lockstep
