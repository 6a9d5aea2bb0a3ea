// One client's connection: its bytes to the node, the node's replies to it, and its end.
//
//   serving -> flushing -> lingering -> gone
//
// Serving: the node knows the client. Flushing: the node has said its last word, which is on its
// way. Lingering: that has left, the client has been told that no more comes (FIN), and what it
// still sends is read and thrown away: a socket that is closed with bytes unread sends a reset,
// and a reset can overtake the last reply and destroy it.
//
// A client that has shut its own side (`printf 'PING\r\n' | nc`) looks exactly like one that has
// died, until an answer to it is met with a reset. One that is owed nothing is gone at once, with
// its place, its waits and what it has bound. Another is still answered, however long a pipeline it
// has sent, and then it is gone; but one that waits for a lock is gone all the same when for
// kHalfClosedGraceUs no byte has gone either way, so it does not hold up the next in line.
#pragma once

#include "src/io/node_port.h"
#include "src/io/tcp_conn.h"

namespace lockstep::io {

class ClientConn final : private TcpConn::Events {
 public:
  static constexpr size_t kReadBytes = size_t{16} << 10;
  static constexpr int64_t kHalfClosedGraceUs = 250 * kUsPerMs;
  // How long a client may leave all of its last bytes untaken, and how long it may take over them.
  static constexpr int64_t kFlushStepUsMax = 10 * kUsPerSecond;
  static constexpr int64_t kFlushUsMax = 60 * kUsPerSecond;
  static constexpr int64_t kLingerUsMax = kUsPerSecond;

  enum class State : uint8_t { kServing, kFlushing, kLingering, kGone };

  // Told that state() or deadline() has changed; or that it can be read, by BeginRead and EndRead,
  // if it reads in steps. The connection must not be destroyed meanwhile.
  class Watcher {
   public:
    virtual void OnChanged(ClientId id) = 0;
    virtual void OnReadable(ClientId) {}

   protected:
    ~Watcher() = default;
  };

  // `port` and `watcher` must outlive it.
  ClientConn(Loop* loop, NodePort* port, Watcher* watcher, ClientId id,
             TcpConn::Reads reads = TcpConn::Reads::kAtOnce);

  Result<void> Accept(uv_stream_t* listener) { return conn_.Accept(listener); }
  void KeepAlive(int64_t seconds) { conn_.KeepAlive(seconds); }
  Endpoint Remote() const { return conn_.Remote(); }
  Endpoint Local() const { return conn_.Local(); }

  // Tells the node of it and begins to read.
  void Open();
  // The same for one that the node never hears of: says `last_words` and ends.
  void TurnAway(Bytes last_words);

  void Send(Bytes bytes);
  // In two steps, as TcpConn's.
  std::optional<int> SendsTo() const;
  void SendRest(Bytes bytes, ssize_t sent);
  // Reading in steps, of which another thread may do the second: ReadNow, from there into that
  // room. Nothing if it is not to be read any more. The last says whether it can be read again.
  struct FromTo {
    int fd = -1;
    ReadRoom room;
  };
  std::optional<FromTo> BeginRead();
  bool EndRead(const ReadRoom& room, ssize_t got);
  void StopReading();
  void ReadAgain();
  // The node's: no more is said or heard, what was said leaves first.
  void Finish();
  // The same, and what has not left by now is thrown away.
  void Drop();

  // Steps ClientBacklog if the node knows another figure. True: ask again next turn.
  bool ReportBacklog();

  ClientId id() const { return id_; }
  State state() const { return state_; }
  size_t backlog() const { return conn_.backlog(); }
  // When OnDeadline wants to be called; kNeverMono: need not.
  MonoTime deadline() const { return deadline_; }
  void OnDeadline(MonoTime now);

 private:
  std::span<char> Room() override;
  void OnBytes(size_t bytes) override;
  void OnReadable() override;
  void OnEnd(const Bytes& why) override;
  void OnWritten() override;
  void AfterSend();
  void Flush(MonoTime now);
  void Part();
  void Linger();
  void Go();
  void TellNode();
  MonoTime GraceEnds() const;  // Of one that has shut its side.
  void Enter(State state, MonoTime deadline);

  Loop* loop_;
  NodePort* port_;
  Watcher* watcher_;
  const ClientId id_;
  const TcpConn::Reads reads_;  // While it is served: whoever lingers is heard by nobody.
  TcpConn conn_;
  State state_ = State::kFlushing;  // Until Open.
  bool node_knows_ = false;
  bool readable_ = false;  // The watcher knows that it can be read.
  bool broken_ = false;
  bool half_closed_ = false;  // The client has said that it will not send.
  MonoTime last_bytes_;  // Either way.
  MonoTime flush_by_;
  MonoTime deadline_ = kNeverMono;
  size_t backlog_told_ = 0;
  size_t unflushed_ = 0;  // While flushing: what waited when the deadline was set.
};

}  // namespace lockstep::io
