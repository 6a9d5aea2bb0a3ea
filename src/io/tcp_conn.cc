#include "src/io/tcp_conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

#include "src/base/check.h"
#include "src/io/io_pool.h"

namespace lockstep::io {
namespace {

bool IsLoopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(in.sin_addr.s_addr) >> 24) == 127;
  }
  if (address.ss_family != AF_INET6) return false;
  const in6_addr& in = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&in) || (IN6_IS_ADDR_V4MAPPED(&in) && in.s6_addr[12] == 127);
}

using NameOf = int (*)(const uv_tcp_t*, sockaddr*, int*);
Endpoint EndOf(const uv_tcp_t* tcp, NameOf name_of) {
  sockaddr_storage address = {};
  int size = sizeof address;
  if (name_of(tcp, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {"?:0", false, "?"};
  return Describe(address);
}

}  // namespace

Endpoint Describe(const sockaddr_storage& address) {
  char name[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    uv_ip4_name(&in, name, sizeof name);
    return {Format("%s:%u", name, ntohs(in.sin_port)), IsLoopback(address), name};
  }
  const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
  if (address.ss_family == AF_INET6) uv_ip6_name(&in, name, sizeof name);
  return {Format("[%s]:%u", name, ntohs(in.sin6_port)), IsLoopback(address), name};
}

struct TcpConn::Socket {
  uv_tcp_t tcp;  // Its data is this; so is that of each request on it.
  uv_connect_t connect;
  uv_shutdown_t shutdown;
  TcpConn* owner;  // Null: gone, nothing of this socket interests anybody.
};

struct TcpConn::WriteRequest {
  uv_write_t request;
  Bytes bytes;
};

TcpConn::TcpConn(Loop* loop, Events* events) : loop_(loop), events_(events), socket_(new Socket) {
  socket_->owner = this;
  const int made = uv_tcp_init(loop->uv(), &socket_->tcp);
  CHECK_SAYS(made == 0, "%s", uv_strerror(made));
  socket_->tcp.data = socket_;
}

// libuv goes on using the socket until its close callback, and requests that were under way are
// called back with UV_ECANCELED before it: they find no owner, and leave.
TcpConn::~TcpConn() {
  if (called_after_turn_) loop_->CancelAfterTurn(this);
  socket_->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&socket_->tcp),
           [](uv_handle_t* closed) { delete static_cast<Socket*>(closed->data); });
}

uv_stream_t* TcpConn::stream() const {
  return reinterpret_cast<uv_stream_t*>(&socket_->tcp);
}

Result<void> TcpConn::Accept(uv_stream_t* listener) {
  const int accepted = uv_accept(listener, stream());
  if (accepted != 0) return Error{uv_strerror(accepted)};
  BeConnected();
  return {};
}

void TcpConn::Connect(const sockaddr_storage& address) {
  const int begun =
      uv_tcp_connect(&socket_->connect, &socket_->tcp, reinterpret_cast<const sockaddr*>(&address),
                     [](uv_connect_t* request, int status) {
                       auto* socket = static_cast<Socket*>(request->handle->data);
                       if (socket->owner != nullptr) socket->owner->OnConnect(status);
                     });
  if (begun != 0) End(uv_strerror(begun));
}

void TcpConn::OnConnect(int status) {
  if (status != 0) return End(uv_strerror(status));
  BeConnected();
  events_->OnConnected();
}

void TcpConn::BeConnected() {
  // What is written is whole, so Nagle's algorithm would only add a round trip to each.
  uv_tcp_nodelay(&socket_->tcp, 1);
  connected_ = uv_fileno(reinterpret_cast<const uv_handle_t*>(&socket_->tcp), &fd_) == 0;
}

void TcpConn::KeepAlive(int64_t seconds) {
  uv_tcp_keepalive(&socket_->tcp, seconds > 0 ? 1 : 0, static_cast<unsigned>(seconds));
}

void TcpConn::LimitSilence(int64_t us) {
  if (!connected_) return;
  const auto ms = static_cast<unsigned>(us / kUsPerMs);
  ::setsockopt(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

Endpoint TcpConn::Remote() const {
  return EndOf(&socket_->tcp, uv_tcp_getpeername);
}
Endpoint TcpConn::Local() const {
  return EndOf(&socket_->tcp, uv_tcp_getsockname);
}

void TcpConn::Read(Reads reads) {
  wants_bytes_ = true;
  how_ = reads;
  if (ended_ || paused_) return;  // OnAfterTurn goes on.
  const int started = uv_read_start(
      stream(),
      [](uv_handle_t* handle, size_t, uv_buf_t* room) {
        auto* socket = static_cast<Socket*>(handle->data);
        const std::span<char> bytes =
            socket->owner != nullptr ? socket->owner->RoomNow() : std::span<char>();
        *room = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
      },
      [](uv_stream_t* handle, ssize_t got, const uv_buf_t*) {
        auto* socket = static_cast<Socket*>(handle->data);
        if (socket->owner != nullptr) socket->owner->OnRead(got);
      });
  if (started != 0 && started != UV_EALREADY) End(uv_strerror(started));
}

void TcpConn::StopReading() {
  wants_bytes_ = false;
  uv_read_stop(stream());
}

// Without room libuv does not read, and says so: that is how it tells us that a socket is readable.
std::span<char> TcpConn::RoomNow() {
  return how_ == Reads::kInSteps ? std::span<char>() : events_->Room();
}

void TcpConn::OnRead(ssize_t got) {
  how_ == Reads::kInSteps && got == UV_ENOBUFS ? events_->OnReadable() : HaveRead(got);
}

std::optional<int> TcpConn::ReadsFrom() const {
  return wants_bytes_ && !paused_ && !ended_ ? std::optional<int>(fd_) : std::nullopt;
}

// libuv reads up to 32 times for one readiness of the socket; we stop it after kReadsPerTurn. The
// poll is level-triggered: what was left is seen again as soon as we read again.
void TcpConn::HaveRead(ssize_t got) {
  if (got == 0) return;  // Nothing there after all.
  if (got < 0) return End(got == UV_EOF ? "" : uv_strerror(static_cast<int>(got)));
  if (std::exchange(read_in_turn_, loop_->turn_number()) != loop_->turn_number()) reads_ = 0;
  if (++reads_ == kReadsPerTurn) {
    paused_ = true;
    uv_read_stop(stream());
    CallMeAfterTurn();
  }
  events_->OnBytes(static_cast<size_t>(got));  // May have destroyed us.
}

std::optional<int> TcpConn::SendsTo() const {
  return connected_ && backlog() == 0 && !IsBroken() ? std::optional<int>(fd_) : std::nullopt;
}

// Straight to the kernel while it takes all: no allocation, no turn lost. What it does not take is
// kept until the socket is writable; from then on later writes line up behind it.
void TcpConn::Write(Bytes bytes) {
  const std::optional<int> fd = SendsTo();
  const ssize_t sent = fd && !bytes.empty() ? SendNow(*fd, bytes) : 0;
  WriteRest(std::move(bytes), sent);
}

void TcpConn::WriteRest(Bytes bytes, ssize_t sent) {
  if (IsBroken() || bytes.empty()) return;
  if (sent < 0) return End(uv_strerror(static_cast<int>(sent)));
  const auto taken = static_cast<size_t>(sent);
  if (taken == bytes.size()) return;
  auto* write = new WriteRequest{{}, std::move(bytes)};
  write->request.data = write;
  const uv_buf_t rest =
      uv_buf_init(write->bytes.data() + taken, static_cast<unsigned>(write->bytes.size() - taken));
  const int queued =
      uv_write(&write->request, stream(), &rest, 1, [](uv_write_t* request, int status) {
        const std::unique_ptr<WriteRequest> done(static_cast<WriteRequest*>(request->data));
        TcpConn* owner = static_cast<Socket*>(request->handle->data)->owner;
        if (owner == nullptr) return;
        if (status < 0) return owner->End(uv_strerror(status));
        owner->events_->OnWritten();
      });
  if (queued != 0) {
    delete write;
    End(uv_strerror(queued));
  }
}

void TcpConn::FinishWriting() {
  // Fails when the socket is broken or not connected: then there is nobody to tell.
  uv_shutdown(&socket_->shutdown, stream(), [](uv_shutdown_t*, int) {});
}

// The news waits for the end of the turn: we may be deep inside a call of our owner.
void TcpConn::End(Bytes why) {
  uv_read_stop(stream());
  if (ended_ && (why.empty() || !why_ended_.empty())) return;
  ended_ = true;
  why_ended_ = std::move(why);
  CallMeAfterTurn();
}

void TcpConn::CallMeAfterTurn() {
  if (std::exchange(called_after_turn_, true)) return;
  loop_->CallAfterTurn(this);
}

// A connection that was paused and has ended has both here; bytes that were read before the end
// have been given to the owner already.
void TcpConn::OnAfterTurn() {
  called_after_turn_ = false;
  paused_ = false;
  reads_ = 0;
  if (ended_) return events_->OnEnd(why_ended_);
  if (wants_bytes_) Read(how_);
}

}  // namespace lockstep::io
