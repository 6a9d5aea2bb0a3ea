#include "src/io/listener.h"

#include <netinet/in.h>

#include <cstring>

#include "src/base/log.h"
#include "src/io/tcp_conn.h"

namespace lockstep::io {
namespace {

// Looked up on the spot: there is nothing else to do yet.
Result<std::vector<sockaddr_storage>> AddressesOf(Loop* loop, const Bytes& host, uint16_t port) {
  if (const auto numeric = NumericAddress(host, port)) return std::vector{*numeric};
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  uv_getaddrinfo_t request = {};
  const int found = uv_getaddrinfo(loop->uv(), &request, nullptr, host.c_str(),
                                   Format("%u", port).c_str(), &hints);
  if (found != 0) return Error{uv_strerror(found)};
  std::vector<sockaddr_storage> addresses;
  for (const addrinfo* at = request.addrinfo; at != nullptr; at = at->ai_next) {
    std::memcpy(&addresses.emplace_back(), at->ai_addr, at->ai_addrlen);
  }
  uv_freeaddrinfo(request.addrinfo);
  return addresses;
}

}  // namespace

std::optional<sockaddr_storage> NumericAddress(const Bytes& host, uint16_t port) {
  sockaddr_storage address = {};
  if (uv_ip4_addr(host.c_str(), port, reinterpret_cast<sockaddr_in*>(&address)) == 0)
    return address;
  address = {};
  if (uv_ip6_addr(host.c_str(), port, reinterpret_cast<sockaddr_in6*>(&address)) == 0) {
    return address;
  }
  return std::nullopt;
}

Listener::Listener(Loop* loop, OnConnection on_connection)
    : loop_(loop), on_connection_(std::move(on_connection)) {}

Result<void> Listener::Listen(std::span<const Bytes> addresses, uint16_t port, int64_t backlog) {
  for (const Bytes& written : addresses) {
    const bool may_miss = written.starts_with('-');
    Bytes host = written.substr(may_miss ? 1 : 0);
    if (host == "*") host = "0.0.0.0";
    if (host == "::*") host = "::";

    const auto found = AddressesOf(loop_, host, port);
    Result<void> listening = found ? Result<void>() : Result<void>(found.error());
    for (size_t i = 0; listening && i < found->size(); ++i) {
      listening = ListenOn(reinterpret_cast<const sockaddr&>((*found)[i]), backlog, host);
    }
    if (listening) continue;
    const Bytes why = Format("cannot listen on %s port %u: %s", host.c_str(), port,
                             listening.error().message.c_str());
    if (!may_miss) return Error{why};
    LOCKSTEP_LOG(kInfo, "%s; its \"-\" says that this may be", why.c_str());
  }
  if (sockets_.empty()) return Error{Format("no address to listen on for port %u", port)};
  return {};
}

// libuv binds with SO_REUSEADDR, so a restart need not wait for old connections to die, and
// reports a port that is in use only in uv_listen.
Result<void> Listener::ListenOn(const sockaddr& address, int64_t backlog, const Bytes& name) {
  HandlePtr<uv_tcp_t> socket(new uv_tcp_t);
  int status = uv_tcp_init(loop_->uv(), socket.get());
  CHECK_SAYS(status == 0, "%s", uv_strerror(status));
  socket->data = this;
  // One family a socket, so that "*" and "::*" can stand side by side.
  const unsigned flags = address.sa_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
  status = uv_tcp_bind(socket.get(), &address, flags);
  if (status == 0) {
    status = uv_listen(reinterpret_cast<uv_stream_t*>(socket.get()), static_cast<int>(backlog),
                       [](uv_stream_t* stream, int error) {
                         // An error here is a want of descriptors: the client tries again.
                         if (error == 0)
                           static_cast<Listener*>(stream->data)->on_connection_(stream);
                       });
  }
  if (status == UV_EADDRINUSE) {
    return Error{"the port is in use; stop what uses it or set another"};
  }
  if (status != 0) return Error{Format("%s (%s)", uv_strerror(status), name.c_str())};
  sockets_.push_back(std::move(socket));
  return {};
}

uint16_t Listener::port() const {
  if (sockets_.empty()) return 0;
  sockaddr_storage address = {};
  int size = sizeof address;
  uv_tcp_getsockname(sockets_.front().get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

}  // namespace lockstep::io
