// One TCP connection: bounded reads, ordered writes, closed once.
//
// Always true:
//   1. Nobody waits behind a neighbour: a connection gives at most kReadsPerTurn pieces a turn,
//      the rest stays in the kernel and pushes back on the sender.
//   2. OnEnd comes at most once, never from inside a call of ours, and nothing comes after it; but
//      an orderly end may be followed by an error: the other side was not listening any more.
//   3. The owner may destroy the connection in any of its callbacks.
//
// What waits to be sent has no bound here: whoever writes looks at backlog().
#pragma once

#include <optional>
#include <span>

#include "src/base/result.h"
#include "src/io/loop.h"

namespace lockstep::io {

// An end of a connection, in words: "127.0.0.1:7379", "[::1]:7379".
struct Endpoint {
  Bytes text;
  bool loopback = false;
  Bytes host;  // "127.0.0.1", "::1".
};
Endpoint Describe(const sockaddr_storage& address);

class TcpConn final : private Loop::AfterTurn {
 public:
  class Events {
   public:
    // Where the next bytes go. Empty: the connection ends.
    virtual std::span<char> Room() = 0;
    virtual void OnBytes(size_t bytes) = 0;
    // It can be read, in steps: see Reads.
    virtual void OnReadable() {}
    // No byte will come any more. Empty: the other side has closed; it may still be reading.
    virtual void OnEnd(const Bytes& why) = 0;
    virtual void OnConnected() {}
    virtual void OnWritten() {}  // Some of what waited has left.

   protected:
    ~Events() = default;
  };
  static constexpr int kReadsPerTurn = 4;

  TcpConn(Loop* loop, Events* events);
  ~TcpConn();
  TcpConn(const TcpConn&) = delete;
  TcpConn& operator=(const TcpConn&) = delete;

  // One of these two, once.
  Result<void> Accept(uv_stream_t* listener);
  void Connect(const sockaddr_storage& address);

  // Seconds after which a silent peer is asked for a sign of life; 0: never.
  void KeepAlive(int64_t seconds);
  // The connection ends when what was sent has not been acknowledged for so long: a peer whose
  // machine has lost power or whose address is gone says nothing, and TCP alone would send again
  // for a quarter of an hour. Once connected.
  void LimitSilence(int64_t us);
  Endpoint Remote() const;
  Endpoint Local() const;

  // At once: as soon as something is there, into Room. In steps, of which another thread may do the
  // second: OnReadable; then ReadNow (io_pool.h) from this descriptor, if there is one still; then,
  // with what came of it, HaveRead.
  enum class Reads : uint8_t { kAtOnce, kInSteps };
  void Read(Reads reads = Reads::kAtOnce);
  std::optional<int> ReadsFrom() const;
  void HaveRead(ssize_t got);
  void StopReading();

  void Write(Bytes bytes);
  // In two steps, of which another thread may do the first: SendNow (io_pool.h) to this
  // descriptor, if there is one; then, with what came of it, WriteRest.
  std::optional<int> SendsTo() const;
  void WriteRest(Bytes bytes, ssize_t sent);
  size_t backlog() const { return uv_stream_get_write_queue_size(stream()); }
  // After what waits: tells the other side that no more comes.
  void FinishWriting();

 private:
  struct Socket;  // What libuv keeps a pointer to; outlives us until it is closed.
  struct WriteRequest;
  uv_stream_t* stream() const;
  std::span<char> RoomNow();
  void OnRead(ssize_t got);
  void OnConnect(int status);
  void BeConnected();
  bool IsBroken() const { return ended_ && !why_ended_.empty(); }  // Half closed: it may listen.
  void End(Bytes why);
  void OnAfterTurn() override;
  void CallMeAfterTurn();

  Loop* loop_;
  Events* events_;
  Socket* socket_;
  uv_os_fd_t fd_ = -1;  // Once connected; libuv's.
  bool connected_ = false;
  bool wants_bytes_ = false;
  Reads how_ = Reads::kAtOnce;
  bool ended_ = false;
  Bytes why_ended_;
  uint64_t read_in_turn_ = 0;  // The turn that reads_ counts.
  int reads_ = 0;
  bool paused_ = false;  // This turn has had its reads.
  bool called_after_turn_ = false;
};

}  // namespace lockstep::io
