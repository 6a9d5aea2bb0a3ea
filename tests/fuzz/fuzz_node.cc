// A whole node, a cluster of one, under whatever its clients send, without a shell.
//
// Three clients send any bytes in any pieces, at any time; connections open, close and fall behind;
// the disk is slow and the node starts again. No invariant breaks, and what a client receives is
// whole replies in its protocol and nothing else, whatever it has sent.
#include <array>
#include <memory>

#include "commands/command.h"
#include "src/node.h"
#include "tests/fuzz/fuzz.h"
#include "tests/memory_disk.h"

namespace lockstep::fuzz {
namespace {

constexpr int kStepsMax = 300;
constexpr size_t kReceivedMax = size_t{8} << 20;  // Beyond it a client is not looked at any more.

class World {
 public:
  explicit World(BytesView in) : choices_(in) {}

  void Run() {
    Start();
    for (int step = 0; step < kStepsMax && choices_.more() && node_ != nullptr; ++step) Step();
    for (int turn = 0; turn < 10 && node_ != nullptr; ++turn) Turn(true);
    for (const Client& client : clients_) CheckReplies(client);
  }

 private:
  struct Client {
    ClientId id{0};  // 0: not connected.
    bool reads = true;
    Bytes received;
  };

  void Start() {
    node_.reset();
    writes_.clear();
    for (Client& client : clients_) Forget(&client);
    NodeOptions options;
    const Bytes text = "enable-debug-command yes\ncluster-nodes 1=a:1\nslowlog-log-slower-than 0\n";
    CHECK(options.config.ReadFile("fuzz", text, {}).ok());
    options.read_value = [this](BytesView key) { return disk_.Get(key); };
    auto opened = Node::Open(std::move(options), disk_, now_);
    CHECK_SAYS(opened.ok(), "%s", opened.error().message.c_str());
    node_ = std::move(*opened);
    for (int turn = 0; turn < 5; ++turn) Turn(true);
  }

  void Step() {
    Client& client = clients_[choices_.Below(clients_.size())];
    switch (const uint64_t what = choices_.Below(16)) {
      case 12:  // The disk is slow.
        Turn(false);
        break;
      case 13:
        now_ = now_ + static_cast<int64_t>(choices_.Number() % 100'000) * kUsPerMs;
        Turn(true);
        break;
      case 14:
        if (client.id.value == 0) break;
        node_->Step(now_, ClientClosed{client.id});
        Forget(&client);
        break;
      case 15:
        if (choices_.Below(16) == 15) return Start();
        if (client.id.value == 0) break;
        node_->Step(now_, ClientBacklog{client.id, static_cast<size_t>(choices_.Number())});
        break;
      default: {
        const BytesView bytes = choices_.Some();
        Open(&client);
        if (client.reads) node_->Step(now_, ClientData{client.id, bytes});
        if (what >= 4) Turn(true);
      }
    }
  }

  void Open(Client* client) {
    if (client->id.value != 0) return;
    client->id = ClientId{++clients_ever_};
    node_->Step(now_, ClientOpened{client->id, "127.0.0.1:40000", "127.0.0.1:7379", true});
  }
  void Forget(Client* client) {
    CheckReplies(*client);
    *client = Client();
  }

  void Turn(bool disk_keeps_up) {
    now_ = now_ + kUsPerMs;
    node_->Step(now_, Tick{});
    if (disk_keeps_up) Sync();
    Output out = node_->Drain(now_);
    node_->CheckInvariants();
    if (out.write_number != 0) writes_.emplace_back(out.write_number, std::move(out.write));
    for (const Output::ToClient& to : out.clients) Deliver(to);
    for (const ClientId id : out.stop_reading) SetReads(id, false);
    for (const ClientId id : out.read_again) SetReads(id, true);
    if (out.exit) node_.reset();
  }

  void Sync() {
    if (writes_.empty()) return;
    for (const auto& [number, batch] : writes_) disk_.Write(batch);
    const uint64_t last = writes_.back().first;
    writes_.clear();
    node_->Step(now_, Persisted{last});
  }

  void Deliver(const Output::ToClient& to) {
    for (Client& client : clients_) {
      if (client.id != to.id) continue;
      if (client.received.size() < kReceivedMax) client.received += to.bytes;
      if (!to.close) continue;
      node_->Step(now_, ClientClosed{client.id});
      Forget(&client);
    }
  }
  void SetReads(ClientId id, bool reads) {
    for (Client& client : clients_) {
      if (client.id == id) client.reads = reads;
    }
  }

  static void CheckReplies(const Client& client) {
    if (client.received.size() >= kReceivedMax) return;
    BytesView rest = client.received;
    while (!rest.empty()) {
      CHECK_SAYS(TakeReply(&rest), "no reply: %s", Printable(rest, 256).c_str());
    }
  }

  Choices choices_;
  MemoryDisk disk_;
  std::unique_ptr<Node> node_;
  std::array<Client, 3> clients_;
  std::vector<std::pair<uint64_t, WriteBatch>> writes_;
  MonoTime now_{1'000'000};
  uint64_t clients_ever_ = 0;
};

// One line as World reads it: a client, the step, a length, the bytes.
Bytes Said(char client, Bytes line) {
  line += "\r\n";
  return Bytes{client, '\5', static_cast<char>(line.size())} + line;
}

}  // namespace

std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  for (const CommandSpec* spec : CommandTable::Get().all()) {
    seeds.push_back(Said(0, spec->name) + Said(0, Bytes(spec->name) + " a b") +
                    Said(1, Bytes(spec->name) + " help") + Said(1, Bytes(spec->name) + " 1 2 3"));
  }
  const std::vector<Bytes> talks[] = {
      {"LOCK.ACQUIRE a x TTL 1000", "LOCK.ACQUIRE a y BLOCK 0 SHARED LIMIT 2 META m",
       "LOCK.INFO a", "LOCK.RELEASE a x", "LOCK.RENEW a y 5000", "LOCK.CHECK a 5"},
      {"LOCK.MACQUIRE 2 a b x TTL 9 BIND", "LOCK.LIST 0 MATCH * COUNT 5", "LOCK.OWNER x",
       "LOCK.GRAPH", "LOCK.DEADLOCKS 5", "LOCK.REVOKE a", "LOCK.RELEASE * x ALL"},
      {"MULTI", "LOCK.ACQUIRE a x", "LOCK.INFO a", "EXEC", "MULTI", "DISCARD", "WATCH a"},
      {"HELLO 3 SETNAME c", "SUBSCRIBE a __lock__:*", "PSUBSCRIBE *", "PUBLISH a hi",
       "UNSUBSCRIBE", "RESET", "PING", "MONITOR"},
      {"CLIENT LIST", "CLIENT TRACKING ON", "CLIENT REPLY SKIP", "CLIENT KILL ID 1",
       "CLIENT PAUSE 10 WRITE", "CLIENT NO-EVICT ON", "CLIENT UNBLOCK 2 ERROR", "CLIENT INFO"},
      {"CONFIG GET *", "CONFIG SET timeout 1", "CONFIG REWRITE", "INFO all", "SLOWLOG GET",
       "LATENCY DOCTOR", "MEMORY DOCTOR", "COMMAND DOCS", "COMMAND GETKEYS LOCK.ACQUIRE a b"},
      {"CLUSTER NODES", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER ADD 2 b 2",
       "CLUSTER REMOVE 2", "CLUSTER INFO", "CLUSTER KEYSLOT a", "ACL LIST", "ACL LOG", "TIME"},
      {"DEBUG SLEEP 0", "DEBUG JMAP", "OBJECT ENCODING a", "KEYS *", "TYPE a", "DBSIZE",
       "SHUTDOWN NOSAVE"}};
  for (const std::vector<Bytes>& talk : talks) {
    Bytes seed;
    for (size_t i = 0; i < talk.size(); ++i) seed += Said(i % 3 == 2 ? 1 : 0, talk[i]);
    seeds.push_back(seed);
  }
  return seeds;
}

std::vector<Property> Properties() {
  return {[](BytesView in) { World(in).Run(); }};
}

}  // namespace lockstep::fuzz
