// The sockets that wait for connections: one a configured address.
//
// Addresses are written as in redis.conf: "127.0.0.1", "::1", "*" (all of IPv4), "::*" (all of
// IPv6), a host name; a "-" in front: no matter if this machine does not have it.
#pragma once

#include <span>

#include "src/base/result.h"
#include "src/io/loop.h"

namespace lockstep::io {

class Listener {
 public:
  // The stream to accept from; every call must take its connection.
  using OnConnection = std::function<void(uv_stream_t* from)>;

  Listener(Loop* loop, OnConnection on_connection);

  // An error: an address cannot be used, and no "-" excuses it. Port 0: one that is free, port().
  Result<void> Listen(std::span<const Bytes> addresses, uint16_t port, int64_t backlog);
  // Of the first address.
  uint16_t port() const;
  // Takes no more.
  void Close() { sockets_.clear(); }

 private:
  Result<void> ListenOn(const sockaddr& address, int64_t backlog, const Bytes& name);

  Loop* loop_;
  OnConnection on_connection_;
  std::vector<HandlePtr<uv_tcp_t>> sockets_;
};

// The port set into either family; the address of a numeric name. Nothing: it is a name to look
// up.
std::optional<sockaddr_storage> NumericAddress(const Bytes& host, uint16_t port);

}  // namespace lockstep::io
