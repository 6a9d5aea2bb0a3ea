#include "src/io/server.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "src/base/hash.h"
#include "src/base/log.h"
#include "src/base/version.h"
#include "src/io/logging.h"
#include "src/io/system.h"

namespace lockstep::io {
namespace {

// Work that makes work: so often a turn goes round before it looks at the sockets again.
constexpr int kRoundsPerTurn = 4;
constexpr int64_t kFiguresEveryUs = kUsPerSecond;
constexpr int64_t kLastWordsUsMax = kUsPerSecond;
// Descriptors beside clients: the bus both ways, the store, the log.
constexpr size_t kDescriptorsReserved = PeerDoor::kConnectionsMax + 2 * kNodesMax + 256;
constexpr int64_t kBusBacklog = 128;

Bytes Joined(const std::vector<Bytes>& parts) {
  Bytes all;
  for (const Bytes& part : parts) all += (all.empty() ? "" : " ") + part;
  return all;
}

}  // namespace

Server::Server(Start start)
    : start_(std::move(start)), persisted_(&loop_, [this] { OnPersisted(); }) {}

Server::~Server() {
  loop_.set_turn(nullptr);
  if (storage_ != nullptr) storage_->Close();
}

Result<std::unique_ptr<Server>> Server::Open(Start start) {
  std::unique_ptr<Server> server(new Server(std::move(start)));
  server->SayHowItStarts();
  if (const auto opened = server->OpenStore(); !opened) return opened.error();
  if (const auto opened = server->OpenNode(); !opened) return opened.error();
  if (const auto listening = server->Listen(); !listening) return listening.error();
  server->WatchSignals();  // Until here a signal ends the process: nothing has been promised yet.
  return server;
}

void Server::SayHowItStarts() const {
  const Settings& s = start_.config.settings();
  LOCKSTEP_LOG(kInfo,
               "lockstep %s starts: node %lld, clients on port %u, bus on port %u of %s, "
               "folder %s, %s, process %d",
               kLockstepVersion, static_cast<long long>(s.node_id), s.Port(), s.BusPort(),
               Joined(s.bind).c_str(), s.dir.c_str(),
               start_.config_file.empty() ? "no configuration file" : start_.config_file.c_str(),
               static_cast<int>(::getpid()));
}

Result<void> Server::OpenStore() {
  const Settings& s = start_.config.settings();
  CHECK(s.storage == "rocksdb");  // Config lets nothing else pass.
  auto opened =
      StorageRocksdb::Open({.dir = s.dir,
                            .on_persisted = [this] { persisted_.Wake(); },
                            .on_failure =
                                [](const Bytes& why) {
                                  // Nothing is flushed or tidied up: the disk has just shown what
                                  // that is worth.
                                  Log(LogLevel::kError, "stopping at once, the disk said: " + why);
                                  ::_exit(1);
                                }});
  if (!opened) return opened.error();
  storage_ = std::move(*opened);
  return {};
}

Result<void> Server::OpenNode() {
  SetHashKey(EntropyU64(), EntropyU64());
  NodeOptions options;
  options.config = start_.config;
  options.seed = EntropyU64();
  options.wall_clock_us = WallClockUs();
  options.os = OperatingSystem();
  options.executable = ExecutablePath();
  options.config_file = start_.config_file;
  options.process_id = static_cast<uint64_t>(::getpid());
  options.random = Entropy;
  options.sha256_hex = Sha256Hex;
  options.clock = [this] { return loop_.Now(); };
  options.read_config = [this] { return ReadFile(start_.config_file, Config::kTextBytesMax); };
  options.write_config = [this](BytesView text) { return ReplaceFile(start_.config_file, text); };
  options.read_value = [this](BytesView key) { return storage_->Get(key); };
  auto opened = Node::Open(std::move(options), *storage_, loop_.Now());
  if (!opened) return opened.error();
  node_ = std::move(*opened);
  return {};
}

// Last of all: whoever can connect is answered by a node that knows what is on its disk.
Result<void> Server::Listen() {
  const Settings& s = settings();
  NodePort* const port = this;
  clients_ = std::make_unique<Clients>(&loop_, port, &s);
  links_ = std::make_unique<PeerLinks>(&loop_, port, EntropyU64());
  door_ = std::make_unique<PeerDoor>(&loop_, port);
  LimitClients();
  if (const auto bus = door_->Listen(s.bind, s.BusPort(), kBusBacklog); !bus) return bus.error();
  return clients_->Listen(s.bind, s.Port(), s.tcp_backlog);
}

// CONFIG SET maxclients may raise it later, so what the process may open is the limit beside it.
void Server::LimitClients() {
  const size_t wanted = static_cast<size_t>(settings().maxclients) + kDescriptorsReserved;
  const size_t descriptors = RaiseFileLimit(wanted);
  const size_t room = descriptors > kDescriptorsReserved ? descriptors - kDescriptorsReserved : 1;
  clients_->LimitTo(room);
  if (descriptors < wanted) {
    LOCKSTEP_LOG(kWarn,
                 "maxclients %lld needs %zu open files, and this process may have %zu (ulimit "
                 "-n): %zu clients are taken",
                 static_cast<long long>(settings().maxclients), wanted, descriptors, room);
  }
}

void Server::WatchSignals() {
  signals_.push_back(
      std::make_unique<SignalWatch>(&loop_, SIGTERM, [this] { OnStopSignal("SIGTERM"); }));
  signals_.push_back(
      std::make_unique<SignalWatch>(&loop_, SIGINT, [this] { OnStopSignal("SIGINT"); }));
  signals_.push_back(std::make_unique<SignalWatch>(&loop_, SIGHUP, [] { ReopenLog(); }));
}

void Server::Run() {
  loop_.set_turn([this] { return Turn(); });
  loop_.Run();
  storage_->Close();
}

void Server::Step(const Input& input) {
  stepped_ = true;
  node_->Step(loop_.Now(), input);
}
ReadRoom Server::ReadBuffer(ClientId id, size_t bytes) {
  return node_->ReadBuffer(id, bytes);
}
bus::Identity Server::identity() const {
  return node_->identity();
}

// Handing out may bring new input (a client that is gone, a link that broke), and a tick may be
// due already: so a few rounds, and then the sockets again, however much there is to do.
MonoTime Server::Turn() {
  clients_->Read();
  if (leave_by_ != kNeverMono) {
    Leave(loop_.Now());
    return loop_.Now() + 10 * kUsPerMs;
  }
  TellFigures(loop_.Now());
  for (int round = 0; round < kRoundsPerTurn; ++round) {
    stepped_ = false;
    const MonoTime now = loop_.Now();
    if (node_->NextWakeup() <= now) node_->Step(now, Tick{});
    HandOut(node_->Drain(loop_.Now()));
    if (leave_by_ != kNeverMono) break;
    clients_->Turn();
    if (!stepped_ && node_->NextWakeup() > loop_.Now()) break;
  }
  if (stepped_) return loop_.Now();
  return std::min({node_->NextWakeup(), clients_->NextWakeup(), next_figures_});
}

// The disk first: it works while we talk to the sockets. Nothing here waits for it, see duty 3 in
// src/node.h.
void Server::HandOut(Output output) {
  if (loop_.Now() >= output.valid_until) CloseLeased(&output);
  if (output.sleep_us > 0) ::usleep(static_cast<useconds_t>(output.sleep_us));
  if (output.write_number != 0) storage_->Submit(std::move(output.write), output.write_number);
  if (output.clients_first) clients_->Deliver(std::exchange(output.clients, {}));
  HandOutPeers(&output);
  clients_->Deliver(std::move(output.clients));
  clients_->StopReading(output.stop_reading);
  clients_->ReadAgain(output.read_again);
  if (output.exit) {
    clients_->StopListening();
    leave_by_ = loop_.Now() + kLastWordsUsMax;
    Leave(loop_.Now());
  }
}

void Server::CloseLeased(Output* output) {
  LOCKSTEP_LOG(kWarn, "this process was stopped for most of a lease: what it was about to answer "
                      "from its cache may be out of date; those connections are closed");
  for (Output::ToClient& client : output->clients) {
    if (client.leased) client = {client.id, {}, true, true, false};
  }
}

// Who the peers are comes before what is for them: a frame to a new peer is lost all the same, but
// one to a peer that is no longer one must be.
void Server::HandOutPeers(Output* output) {
  if (output->peer_addresses) links_->SetPeers(*output->peer_addresses);
  if (output->relink) {
    links_->Relink();
    door_->CloseAll();
  }
  for (const NodeId id : output->cut_peers) {
    links_->Cut(id);
    door_->Cut(id);
  }
  for (Output::ToPeer& frames : output->peers) links_->Send(std::move(frames));
}

// The node wakes several times a second anyhow, so this needs no timer of its own.
void Server::TellFigures(MonoTime now) {
  if (now < next_figures_) return;
  next_figures_ = now + kFiguresEveryUs;
  ProcessFigures process = MeasureProcess();
  if (spare_memory_.Look(now, process)) process = MeasureProcess();
  Step(SystemFigures{.rss_bytes = process.rss_bytes,
                     .total_memory_bytes = TotalMemoryBytes(),
                     .cpu_user_seconds = process.cpu_user_seconds,
                     .cpu_system_seconds = process.cpu_system_seconds,
                     .loop_lag_us = loop_.TakeLagUs(),
                     .sync_us = storage_->sync_us(),
                     .clients_turned_away = clients_->turned_away(),
                     .read_together = clients_->read_together(),
                     .sent_together = clients_->sent_together()});
}

// Several batches may have been written since, or none: the waker's calls may be joined, and one
// may come late.
void Server::OnPersisted() {
  const uint64_t number = storage_->persisted();
  if (number == persisted_told_) return;
  persisted_told_ = number;
  Step(Persisted{number});
}

void Server::OnStopSignal(const char* name) {
  const bool again = std::exchange(asked_to_stop_, true);
  LOCKSTEP_LOG(kInfo, "%s%s", name, again ? " again: stopping now" : ": stopping in order");
  Step(Terminate{.now = again});
}

// Replies that the kernel has not taken yet get a second; a client that does not read gets no
// more.
void Server::Leave(MonoTime now) {
  if (clients_->AllIsSent() || now >= leave_by_) loop_.Stop();
}

}  // namespace lockstep::io
