// A node is a function: Step(now, input) any number of times, then Drain() says what to do about
// it. Everything that decides anything is in here and deterministic; sockets, disk, clock and
// threads are the shell's (src/io), and the simulator is another shell, made of memory (tests/sim).
//
// The shell's duties, all of them:
//   1. Time never falls from one call to the next. Call Step(Tick) at NextWakeup() at the latest.
//   2. Output.write goes to disk as one synced, atomic batch, in the order of the numbers; then
//      Step(Persisted{number}). Batches that wait may be joined; then only the last number is
//      reported. A write that fails stops the process: nothing is retried (Rebello et al., ATC
//      2020).
//   3. SetHashKey (src/base/hash.h) from the system's entropy before Open.
//   4. What is for clients and peers may leave at once, whatever the disk does (but see
//      Output.valid_until). Bytes for one
//      client leave in order; frames on one lane to one peer leave in order while the link is up,
//      and are lost when it is not. Nothing else is promised to the node: links may drop, repeat
//      and delay.
//
// One thread. CHECKs what is our own bug; answers what is a client's; drops what is a peer's.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <variant>
#include <vector>

#include "cluster/bus/hello.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/config.h"
#include "src/storage.h"

namespace lockstep {

class Cache;
class Replica;
namespace raft {
class Raft;
}
namespace resp {
class Parser;
}

// Inputs -----------------------------------------------------------------------------------------

struct ClientOpened {
  ClientId id;  // Never used before.
  Bytes address;
  Bytes local_address;
  bool loopback = false;
};
struct ClientData {  // The views of an input are only read during Step.
  ClientId id;
  BytesView bytes;
};
struct ClientRead {  // Like ClientData, for bytes that are already where Node::ReadBuffer pointed.
  ClientId id;
  size_t bytes = 0;
};
struct ClientBacklog {  // How much of what Drain gave the client has not been taken by its socket.
  ClientId id;          // Told when it changes and is, or was, above zero.
  size_t bytes = 0;
};
struct ClientClosed {
  ClientId id;
  // Of what Drain gave it: bytes that its socket had not taken. SIZE_MAX: the connection broke, and
  // nobody knows.
  size_t untaken = 0;
};
struct PeerUp {  // A link with this peer has shaken hands (see bus::Hello).
  bus::Hello hello;      // The peer's; `lane` is the link's.
  bool ours = false;     // We have dialled it: what we send on that lane arrives from now on.
  bool refused = false;  // There is no link: bus::TakesUsForItsOwn(hello).
};
struct PeerDown {  // The link on which we send to it broke: what was under way may be lost.
  NodeId id;
  bus::Lane lane = bus::Lane::kBulk;
};
struct PeerFrame {  // The body of a frame, its checksum right.
  NodeId from;
  BytesView body;
  DiskId disk;  // That the hello of this link named; 0: not known.
};
struct Persisted {
  uint64_t write = 0;
};
struct Tick {};
struct Terminate {  // SIGTERM: hand over, finish, then Output.exit.
  bool now = false;
};
struct SystemFigures {  // For INFO; told about once a second.
  size_t rss_bytes = 0;
  size_t total_memory_bytes = 0;
  double cpu_user_seconds = 0;
  double cpu_system_seconds = 0;
  int64_t loop_lag_us = 0;       // Highest since last told.
  int64_t sync_us = 0;           // Latest synced write.
  uint64_t clients_turned_away = 0;  // Since the start,
  uint64_t read_together = 0;        // as these: how often several threads have read,
  uint64_t sent_together = 0;        // and answers that they have sent.
};
using Input = std::variant<ClientOpened, ClientData, ClientRead, ClientBacklog, ClientClosed,
                           PeerUp, PeerDown, PeerFrame, Persisted, Tick, Terminate, SystemFigures>;

// Outputs ----------------------------------------------------------------------------------------

struct PeerAddress {
  NodeId id;
  Bytes host;
  uint16_t bus_port = 0;
  // Another number than before: the process at the other end is another or has fallen silent, and
  // the links to it that are up may be dead without our knowing. Dial them anew.
  uint64_t dials = 0;
  bool operator==(const PeerAddress&) const = default;
};

struct Output {
  struct ToClient {
    ClientId id;
    Bytes bytes;
    bool close = false;  // After `bytes` have left. ClientClosed follows all the same.
    bool at_once = false;  // And with it: what has not left by now is thrown away.
    bool leased = false;   // It shows what may be shown until `valid_until` only.
  };
  struct ToPeer {
    NodeId to;
    bus::Lane lane = bus::Lane::kControl;
    Bytes frames;  // Whole frames, one after the other.
  };
  std::vector<ToClient> clients;  // Of each client one at most.
  // What is for clients is to reach their sockets before what is for peers reaches theirs: it tells
  // of what the peers may do from now on (CLIENT TRACKING).
  bool clients_first = false;
  // By the shell's clock, read after Drain: if it has come, what is `leased` is not to leave, since
  // it may be out of date by now, and what was done may have been lost. Then close those clients at
  // once. It comes when the process was stopped within a turn, for most of a lease.
  MonoTime valid_until = kNeverMono;
  std::vector<ClientId> stop_reading;  // The client is ahead of us: leave its bytes in the kernel.
  std::vector<ClientId> read_again;
  std::vector<ToPeer> peers;
  WriteBatch write;
  uint64_t write_number = 0;  // 0: nothing to write.
  // The peers to keep links to, if that has changed; `relink`: our identity has, shake hands anew.
  std::optional<std::vector<PeerAddress>> peer_addresses;
  bool relink = false;
  std::vector<NodeId> cut_peers;  // What they sent makes no sense: drop the links with them.
  int64_t sleep_us = 0;                 // DEBUG SLEEP.
  bool exit = false;                    // Everything is said and written: exit 0.

  bool empty() const {
    return clients.empty() && stop_reading.empty() && read_again.empty() && peers.empty() &&
           write_number == 0 && !peer_addresses && !relink && cut_peers.empty() &&
           sleep_us == 0 && !exit;
  }
};

struct NodeOptions {
  Config config;
  uint64_t seed = 1;          // From the operating system's entropy: timeouts, ids, hash key.
  int64_t wall_clock_us = 0;  // At `now` of Open; for people only.
  Bytes os, executable, config_file;  // For INFO.
  uint64_t process_id = 0;
  size_t save_records = 5'000;    // Of a snapshot at a time,
  size_t piece_bytes = 1 << 20;   // and how much of it at least goes to disk together.
  std::function<Bytes(size_t)> random;        // From the operating system; none: from `seed`.
  std::function<Bytes(BytesView)> sha256_hex; // None: ACL GETUSER shows no hash.
  // One value of what is on disk, as StorageReader visits it; nothing: it is not there. At any time
  // after Open. A disk that cannot tell stops the process.
  std::function<std::optional<Bytes>(BytesView key)> read_value;
  std::function<MonoTime()> clock;  // For measuring how long commands take; decides nothing.
  // CONFIG REWRITE's way to `config_file`: the text that stands there now, and a new one for it.
  std::function<Result<Bytes>()> read_config;
  std::function<Result<void>(BytesView)> write_config;
};

struct ReadRoom {
  std::span<char> bytes;  // Empty for an unknown client.
  // The client's, in which the room lies: it may read ahead what has been written there, before the
  // Step. Null: nobody's.
  resp::Parser* parser = nullptr;
};

class Node {
 public:
  // Reads what is on disk. An error: the node must not start, and says why.
  static Result<std::unique_ptr<Node>> Open(NodeOptions options, StorageReader& storage,
                                            MonoTime now);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void Step(MonoTime now, const Input& input);
  Output Drain(MonoTime now);
  MonoTime NextWakeup() const;

  // Room for what the socket will give, straight in the client's parser: read up to `bytes` into
  // it, then Step(ClientRead). Another thread may do the reading; meanwhile nothing may be stepped
  // but what other clients have sent.
  ReadRoom ReadBuffer(ClientId id, size_t bytes);
  // A command that was not run, or a reply that was not handed out. Later: it may rightly be long
  // in coming, since the client waits for a lock, or for the end of a pause.
  enum class Owed : uint8_t { kNothing, kSoon, kLater };
  Owed Owes(ClientId id) const;

  // What our side of a handshake says.
  bus::Identity identity() const;
  const Config& config() const;

  // For checkers, which compare nodes from outside. Null: no such group here.
  struct Asking {  // What its gateway has done so far: see Gateway.
    uint64_t resent = 0;
    uint64_t far_requests = 0;
    uint64_t far_answers_lost = 0;
    uint64_t far_sessions_lost = 0;
  };
  Asking asking() const;
  size_t requests_pending(GroupId id) const;  // Of its clients and its own.
  const raft::Raft* group(GroupId id) const;
  NodeId leader(GroupId id) const;  // As far as is known here; kNoNode: nobody is.
  const Replica* replica(GroupId id) const;
  const Cache* cache() const;  // Null until the cluster has formed.
  void CheckInvariants() const;

 private:
  struct Parts;
  explicit Node(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace lockstep
