// What tests of connections share: a loop that runs until something is so, a node's door that
// writes down what comes through it, and plain sockets for the other end.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>

#include "cluster/bus/frame.h"
#include "src/io/loop.h"
#include "src/io/node_port.h"

namespace lockstep::io {

// Runs the loop until `done` says so; false when a minute was not enough. `each_turn` is what
// the server would do in its turn.
inline bool RunUntil(
    Loop* loop, const std::function<bool()>& done, const std::function<void()>& each_turn = [] {}) {
  const MonoTime give_up = loop->Now() + 60 * kUsPerSecond;
  bool is_done = false;
  loop->set_turn([&] {
    each_turn();
    is_done = done();
    if (is_done || loop->Now() > give_up) loop->Stop();
    return loop->Now() + kUsPerMs;  // The other end is in this thread: it is looked at every turn.
  });
  loop->Run();
  loop->set_turn([] { return kNeverMono; });
  return is_done;
}

class RecordingPort final : public NodePort {
 public:
  void Step(const Input& input) override {
    std::visit([this](const auto& one) { On(one); }, input);
    if (on_step) on_step(input);
  }
  ReadRoom ReadBuffer(ClientId id, size_t bytes) override {
    Bytes& buffer = buffers_[id];
    buffer.resize(bytes);
    return {.bytes = buffer};
  }
  Node::Owed Owes(ClientId id) const override {
    const auto it = owed.find(id);
    return it == owed.end() ? Node::Owed::kNothing : it->second;
  }
  bus::Identity identity() const override { return me; }

  bus::Identity me;
  std::function<void(const Input&)> on_step;
  std::map<ClientId, Bytes> received;
  std::vector<ClientOpened> opened;
  std::vector<ClientId> closed;
  std::map<ClientId, Node::Owed> owed;
  std::vector<ClientBacklog> backlogs;
  std::vector<bus::Hello> up;
  std::vector<NodeId> down;
  std::vector<std::pair<NodeId, Bytes>> frames;

 private:
  void On(const ClientOpened& input) { opened.push_back(input); }
  void On(const ClientRead& input) {
    received[input.id].append(buffers_[input.id].data(), input.bytes);
  }
  void On(const ClientBacklog& input) { backlogs.push_back(input); }
  void On(const ClientClosed& input) { closed.push_back(input.id); }
  void On(const PeerUp& input) { up.push_back(input.hello); }
  void On(const PeerDown& input) { down.push_back(input.id); }
  void On(const PeerFrame& input) { frames.emplace_back(input.from, Bytes(input.body)); }
  template <class T>
  void On(const T&) {
    ADD_FAILURE() << "a connection has no business with this input";
  }
  std::map<ClientId, Bytes> buffers_;
};

// A socket that never waits.
class PlainSocket {
 public:
  PlainSocket() = default;
  explicit PlainSocket(int fd) : fd_(fd) {
    if (fd_ >= 0) ::fcntl(fd_, F_SETFL, O_NONBLOCK);
  }
  ~PlainSocket() { Close(); }
  PlainSocket(PlainSocket&& other) noexcept { *this = std::move(other); }
  PlainSocket& operator=(PlainSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(got_, other.got_);
    std::swap(ended_, other.ended_);
    std::swap(error_, other.error_);
    return *this;
  }

  static sockaddr_in Address(uint16_t port, const char* host) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    CHECK(::inet_pton(AF_INET, host, &address.sin_addr) == 1);
    return address;
  }
  // The kernel accepts for a listener that has not looked yet, so this does not wait.
  static PlainSocket To(uint16_t port, const char* host = "127.0.0.1") {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // A small window, so that a test of what waits behind it need not send much.
    const int window = 64 * 1024;
    CHECK(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window) == 0);
    const sockaddr_in address = Address(port, host);
    CHECK(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return PlainSocket(fd);
  }
  static PlainSocket Listening(uint16_t* port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Address(0, "127.0.0.1");
    CHECK(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    CHECK(::listen(fd, 16) == 0);
    socklen_t size = sizeof address;
    CHECK(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    *port = ntohs(address.sin_port);
    return PlainSocket(fd);
  }
  PlainSocket Accept() { return PlainSocket(::accept(fd_, nullptr, nullptr)); }

  bool valid() const { return fd_ >= 0; }
  // How much the kernel took.
  size_t Send(BytesView bytes) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return sent > 0 ? static_cast<size_t>(sent) : 0;
  }
  void SendFrame(BytesView body) {
    Bytes frame;
    bus::AppendFrame(body, &frame);
    CHECK(Send(frame) == frame.size());
  }
  // Everything so far.
  const Bytes& Receive() {
    char piece[64 * 1024];
    for (;;) {
      const ssize_t size = ::recv(fd_, piece, sizeof piece, 0);
      if (size > 0) {
        got_.append(piece, static_cast<size_t>(size));
        continue;
      }
      if (size == 0) ended_ = true;
      if (size < 0 && errno != EAGAIN) error_ = errno;
      return got_;
    }
  }
  bool Ended() {
    Receive();
    return ended_ || error_ != 0;
  }
  int error() const { return error_; }  // 0: none, or an end in order.
  void FinishSending() { ::shutdown(fd_, SHUT_WR); }
  void Close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void Reset() {
    const linger none{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    Close();
  }

 private:
  int fd_ = -1;
  Bytes got_;
  bool ended_ = false;
  int error_ = 0;
};

}  // namespace lockstep::io
