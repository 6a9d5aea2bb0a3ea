#include "src/io/clients.h"

#include <algorithm>

#include "src/base/log.h"
#include "src/resp/parser.h"

namespace lockstep::io {
namespace {

constexpr size_t kTurnedAwayMax = 64;
// libuv polls again at once when so many have something, and would find the same ones if they were
// not read by then: it takes 1024 at a time.
constexpr size_t kReadableMax = 512;
constexpr char kTooMany[] = "-ERR max number of clients reached\r\n";

// Redis's text (networking.c, clientAcceptHandler), its name replaced by ours.
constexpr char kProtected[] =
    "-DENIED Lockstep is running in protected mode because protected mode is enabled and no "
    "password "
    "is set for the default user. In this mode connections are only accepted from the loopback "
    "interface. If you want to connect from external computers to Lockstep you may adopt one of "
    "the "
    "following solutions: 1) Just disable protected mode sending the command 'CONFIG SET "
    "protected-mode no' from the loopback interface by connecting to Lockstep from the same host "
    "the "
    "server is running, however MAKE SURE Lockstep is not publicly accessible from internet if you "
    "do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just "
    "disable "
    "the protected mode by editing the Lockstep configuration file, and setting the protected mode "
    "option to 'no', and then restarting the server. 3) If you started the server manually just "
    "for "
    "testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication "
    "password for the default user. NOTE: You only need to do one of the above things in order for "
    "the server to start accepting connections from the outside.\r\n";

}  // namespace

Clients::Clients(Loop* loop, NodePort* port, const Settings* settings)
    : loop_(loop),
      port_(port),
      settings_(settings),
      listener_(loop, [this](uv_stream_t* from) { Accept(from); }) {
  if (settings->io_threads > 1) {
    pool_ = std::make_unique<IoPool>(static_cast<size_t>(settings->io_threads) - 1);
  }
}

Result<void> Clients::Listen(std::span<const Bytes> addresses, uint16_t port, int64_t backlog) {
  return listener_.Listen(addresses, port, backlog);
}

// Every connection is accepted, even one that must go: in the kernel's queue it would wait for a
// place without a word, and keep the listener readable all the while.
void Clients::Accept(uv_stream_t* from) {
  latest_id_ = Next(latest_id_);
  ClientConn::Watcher* const watcher = this;
  const TcpConn::Reads reads =
      pool_ != nullptr ? TcpConn::Reads::kInSteps : TcpConn::Reads::kAtOnce;
  auto conn = std::make_unique<ClientConn>(loop_, port_, watcher, latest_id_, reads);
  if (const auto accepted = conn->Accept(from); !accepted) {
    LOCKSTEP_LOG(kDebug, "a client was gone before it was let in: %s",
                 accepted.error().message.c_str());
    return;
  }
  // Those that are told why they are turned away need descriptors too, for a moment. Of a flood of
  // them the rest is told and not seen out.
  if (conns_.size() >= ClientsMax() + kTurnedAwayMax) {
    ++turned_away_;
    conn->TurnAway(kTooMany);
    return;
  }
  conn->KeepAlive(settings_->tcp_keepalive);
  const Bytes refusal = ReasonToRefuse(conn->Remote());
  ClientConn& kept = *conns_.emplace(latest_id_, std::move(conn)).first->second;
  if (refusal.empty()) {
    kept.Open();
  } else {
    ++turned_away_;
    kept.TurnAway(refusal);
  }
}

// Of the setting and of what the process may open, the smaller.
size_t Clients::ClientsMax() const {
  return std::min(room_, static_cast<size_t>(settings_->maxclients));
}

Bytes Clients::ReasonToRefuse(const Endpoint& remote) const {
  if (conns_.size() >= ClientsMax()) return kTooMany;
  const bool is_protected = settings_->protected_mode && settings_->requirepass.empty();
  return is_protected && !remote.loopback ? kProtected : "";
}

ClientConn* Clients::Find(ClientId id) const {
  const auto at = conns_.find(id);
  return at != conns_.end() ? at->second.get() : nullptr;
}

void Clients::OnReadable(ClientId id) {
  readable_.push_back(id);
  if (readable_.size() >= kReadableMax) Read();
}

// Round by round: a connection pauses when it has had its pieces of this turn. None is destroyed
// meanwhile: that happens in SettleChanged alone.
void Clients::Read() {
  while (!readable_.empty()) {
    reads_.clear();
    for (const ClientId id : readable_) {
      ClientConn* const conn = Find(id);
      if (conn == nullptr) continue;
      if (const auto from_to = conn->BeginRead()) reads_.push_back({conn, *from_to});
    }
    readable_.clear();
    ReadTogether();
    // The node takes them in one after the other, as they were found readable; what has been read
    // is given to it, whatever it has made of the ones before.
    for (const Reading& read : reads_) {
      if (read.conn->EndRead(read.from_to.room, read.got)) readable_.push_back(read.conn->id());
    }
  }
}

void Clients::ReadTogether() {
  const auto read = [this](size_t i) {
    const ClientConn::FromTo& from_to = reads_[i].from_to;
    const ssize_t got = reads_[i].got = ReadNow(from_to.fd, from_to.room.bytes);
    resp::Parser* const parser = from_to.room.parser;
    if (got > 0 && parser != nullptr) parser->ReadAhead(static_cast<size_t>(got));
  };
  if (reads_.size() < IoPool::kJobsMin) {
    for (size_t i = 0; i < reads_.size(); ++i) read(i);
    return;
  }
  pool_->ForEach(reads_.size(), read);
  read_together_ += reads_.size();
}

void Clients::Deliver(std::vector<Output::ToClient> replies) {
  SendTogether(replies);
  size_t send = 0;
  for (size_t i = 0; i < replies.size(); ++i) {
    Output::ToClient& reply = replies[i];
    ClientConn* conn = Find(reply.id);
    if (!is_sent_.empty() && is_sent_[i]) {
      conn->SendRest(std::move(reply.bytes), sends_[send++].sent);
    } else if (conn != nullptr) {
      conn->Send(std::move(reply.bytes));
    } else {
      continue;
    }
    if (conn->backlog() > 0) lagging_.insert(reply.id);
    if (!reply.close) continue;
    if (reply.at_once) {
      conn->Drop();
    } else {
      conn->Finish();
    }
  }
}

// What the kernel takes at once, if there is enough for several threads. No connection is destroyed
// meanwhile: that happens in SettleChanged alone.
void Clients::SendTogether(std::span<const Output::ToClient> replies) {
  is_sent_.clear();
  if (pool_ == nullptr || replies.size() < IoPool::kJobsMin) return;
  sends_.clear();
  is_sent_.resize(replies.size());
  for (size_t i = 0; i < replies.size(); ++i) {
    const ClientConn* const conn = Find(replies[i].id);
    if (conn == nullptr || replies[i].bytes.empty() || replies[i].at_once) continue;
    const std::optional<int> fd = conn->SendsTo();
    if (!fd) continue;
    sends_.push_back({*fd, replies[i].bytes});
    is_sent_[i] = true;
  }
  pool_->ForEach(sends_.size(),
                 [this](size_t i) { sends_[i].sent = SendNow(sends_[i].fd, sends_[i].bytes); });
  sent_together_ += sends_.size();
}

void Clients::StopReading(const std::vector<ClientId>& ids) {
  for (const ClientId id : ids) {
    if (ClientConn* conn = Find(id)) conn->StopReading();
  }
}

void Clients::ReadAgain(const std::vector<ClientId>& ids) {
  for (const ClientId id : ids) {
    if (ClientConn* conn = Find(id)) conn->ReadAgain();
  }
}

void Clients::Turn() {
  std::erase_if(lagging_, [this](ClientId id) {
    ClientConn* conn = Find(id);
    return conn == nullptr || !conn->ReportBacklog();
  });
  SettleChanged();
  CallDue();
}

// Connections are only destroyed here, where nobody is inside one. An id may stand there twice.
void Clients::SettleChanged() {
  for (const ClientId id : std::exchange(changed_, {})) {
    const ClientConn* conn = Find(id);
    if (conn == nullptr) continue;
    if (conn->state() == ClientConn::State::kGone) {
      conns_.erase(id);
    } else if (conn->deadline() != kNeverMono) {
      deadlines_.emplace(conn->deadline(), id);
    }
  }
}

// A deadline that was moved leaves its old entry behind: the connection itself says whether it is
// due. Each change of a connection's state makes one entry, so there are a few per client at most.
void Clients::CallDue() {
  const MonoTime now = loop_->Now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const ClientId id = deadlines_.extract(deadlines_.begin()).value().second;
    ClientConn* conn = Find(id);
    if (conn != nullptr && conn->deadline() <= now) conn->OnDeadline(now);
  }
  SettleChanged();
}

MonoTime Clients::NextWakeup() const {
  return deadlines_.empty() ? kNeverMono : deadlines_.begin()->first;
}

bool Clients::AllIsSent() const {
  for (const auto& [id, conn] : conns_) {
    if (conn->backlog() > 0) return false;
  }
  return true;
}

}  // namespace lockstep::io
