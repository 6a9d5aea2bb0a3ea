// All clients of this node: lets them in, hands out what the node has for them, sees them out.
#pragma once

#include <set>
#include <unordered_map>

#include "src/io/client_conn.h"
#include "src/io/io_pool.h"
#include "src/io/listener.h"
#include "src/settings.h"

namespace lockstep::io {

class Clients final : private ClientConn::Watcher {
 public:
  // `settings` and `port` must outlive it; the settings are read at each connection, so that
  // CONFIG SET holds for the next. (But for io-threads: those are started here.)
  Clients(Loop* loop, NodePort* port, const Settings* settings);

  // However many `maxclients` allows: the process has no descriptors for more.
  void LimitTo(size_t connections) { room_ = connections; }

  Result<void> Listen(std::span<const Bytes> addresses, uint16_t port, int64_t backlog);
  uint16_t port() const { return listener_.port(); }
  // Connections refused so far, for want of a place or in protected mode.
  uint64_t turned_away() const { return turned_away_; }
  // How often so far the threads of io-threads have read, this one among them, and answers that
  // they have sent.
  uint64_t read_together() const { return read_together_; }
  uint64_t sent_together() const { return sent_together_; }

  // Once a turn, before the node's: with several io-threads, reads what the sockets have. (With one
  // the poll has done it.)
  void Read();

  // Output's, each: of any client one at most. A client that is gone is passed over.
  void Deliver(std::vector<Output::ToClient> replies);
  void StopReading(const std::vector<ClientId>& ids);
  void ReadAgain(const std::vector<ClientId>& ids);

  // Once a turn, after Deliver: tells the node who lags, ends what is due.
  void Turn();
  MonoTime NextWakeup() const;

  // For the end of the process.
  void StopListening() { listener_.Close(); }
  bool AllIsSent() const;

 private:
  struct Reading {
    ClientConn* conn = nullptr;
    ClientConn::FromTo from_to;
    ssize_t got = 0;  // ReadNow's.
  };
  struct Sending {
    int fd = -1;
    BytesView bytes;
    ssize_t sent = 0;  // SendNow's.
  };
  void Accept(uv_stream_t* from);
  void ReadTogether();
  void SendTogether(std::span<const Output::ToClient> replies);
  size_t ClientsMax() const;
  Bytes ReasonToRefuse(const Endpoint& remote) const;
  void OnChanged(ClientId id) override { changed_.push_back(id); }
  void OnReadable(ClientId id) override;
  void SettleChanged();
  void CallDue();
  ClientConn* Find(ClientId id) const;

  Loop* loop_;
  NodePort* port_;
  const Settings* settings_;
  Listener listener_;
  std::unique_ptr<IoPool> pool_;    // None: this thread does all.
  std::vector<ClientId> readable_;  // As libuv has found them since the last Read.
  std::vector<Reading> reads_;      // Of one round of a Read.
  std::vector<Sending> sends_;      // Of one Deliver, in the order of its replies,
  std::vector<bool> is_sent_;       // of which these have one.
  size_t room_ = SIZE_MAX;
  uint64_t turned_away_ = 0;
  uint64_t read_together_ = 0;
  uint64_t sent_together_ = 0;
  ClientId latest_id_;
  std::unordered_map<ClientId, std::unique_ptr<ClientConn>> conns_;
  std::set<ClientId> lagging_;  // Their sockets have not taken all.
  std::vector<ClientId> changed_;
  std::set<std::pair<MonoTime, ClientId>> deadlines_;  // Some stale: the connection knows.
};

}  // namespace lockstep::io
