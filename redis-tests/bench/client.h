// Many connections to servers on this machine, in one thread: requests out, replies in.
//
// As little as can be between the clock and the socket, for the generator takes its time from the
// servers' cores. hiredis reads the replies; requests are put together here.
#pragma once

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "figures.h"

inline int ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    Fail("cannot connect to port " + std::to_string(port) + ": " + std::strerror(errno));
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// Waits until the kernel has taken all of it. Servers read on while they write, so it always will.
inline void SendAll(int fd, const std::string& bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t sent = send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) Fail(std::string("cannot send: ") + std::strerror(errno));
    if (sent > 0) at += static_cast<size_t>(sent);
  }
}

inline std::vector<std::string> Words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// What commas part.
inline std::vector<std::string> Parts(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

inline std::vector<int> Ports(const std::string& list) {
  std::vector<int> ports;
  for (const std::string& port : Parts(list)) ports.push_back(std::stoi(port));
  return ports;
}

// A command with places to fill: {n}, the number of a name, and {c}, that of a client.
class Command {
 public:
  explicit Command(const std::string& line) : words_(Words(line)) {}

  void AppendTo(std::string* out, size_t name, size_t client) const {
    *out += '*' + std::to_string(words_.size()) + "\r\n";
    for (const std::string& word : words_) {
      std::string filled = word;
      Fill(&filled, "{n}", name);
      Fill(&filled, "{c}", client);
      *out += '$' + std::to_string(filled.size()) + "\r\n" + filled + "\r\n";
    }
  }

 private:
  static void Fill(std::string* word, const char* place, size_t number) {
    const size_t at = word->find(place);
    if (at != std::string::npos) word->replace(at, 3, std::to_string(number));
  }

  std::vector<std::string> words_;
};

inline void AppendWords(std::initializer_list<std::string_view> words, std::string* out) {
  for (const std::string_view word : words) {
    *out += '$' + std::to_string(word.size()) + "\r\n";
    *out += word;
    *out += "\r\n";
  }
}

inline void AppendCommand(std::initializer_list<std::string_view> words, std::string* out) {
  *out += '*' + std::to_string(words.size()) + "\r\n";
  AppendWords(words, out);
}

inline std::string Text(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_NIL) return "nil";
  if (reply.type == REDIS_REPLY_INTEGER) return std::to_string(reply.integer);
  return reply.str == nullptr ? "no text" : std::string(reply.str, reply.len);
}

// Nothing here expects anything but OK, a token or the number 1. A lock that was not granted would
// be a cheaper answer than the one that is measured.
inline void RequireSuccess(const redisReply& reply) {
  const bool ok =
      reply.type == REDIS_REPLY_STATUS || (reply.type == REDIS_REPLY_INTEGER && reply.integer > 0);
  if (!ok) Fail("an answer that was not to come: " + Text(reply));
}

// Cuts what a server sends into its replies.
class Replies {
 public:
  virtual ~Replies() = default;
  virtual void Feed(const char* bytes, size_t size) = 0;
  // Nothing if it is not all there yet. It is gone with the next call.
  virtual const redisReply* Next() = 0;
};

class RedisReplies final : public Replies {
 public:
  void Feed(const char* bytes, size_t size) override {
    redisReaderFeed(reader_.get(), bytes, size);
  }

  const redisReply* Next() override {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) Fail(reader_->errstr);
    last_.reset(static_cast<redisReply*>(raw));
    return last_.get();
  }

 private:
  struct Free {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };

  std::unique_ptr<redisReader, Free> reader_{redisReaderCreate()};
  std::unique_ptr<redisReply, Free> last_;
};

class Connection {
 public:
  explicit Connection(int port, std::unique_ptr<Replies> replies = std::make_unique<RedisReplies>())
      : fd_(ConnectTo(port)), replies_(std::move(replies)) {}

  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  std::string* out() { return &out_; }

  void Flush() {
    SendAll(fd_, out_);
    out_.clear();
  }

  // Once `epoll` says that there is something. What the replies lead to leaves in one piece.
  template <class OnReply>
  void Read(OnReply on_reply) {
    char buffer[1 << 16];
    const ssize_t size = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size == 0) Fail("the server closed a connection");
    if (size < 0 && errno != EAGAIN && errno != EINTR) Fail(std::strerror(errno));
    if (size < 0) return;
    replies_->Feed(buffer, static_cast<size_t>(size));
    while (const redisReply* reply = replies_->Next()) on_reply(*reply);
    Flush();
  }

 private:
  int fd_;
  std::unique_ptr<Replies> replies_;
  std::string out_;
};

class Epoll {
 public:
  Epoll() : fd_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~Epoll() { close(fd_); }
  Epoll(const Epoll&) = delete;
  Epoll& operator=(const Epoll&) = delete;

  void Add(int fd, void* what) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = what;
    if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) Fail(std::strerror(errno));
  }

  // Silence for so long means that something has gone wrong: a bench has no long pauses.
  template <class OnReady>
  void Wait(OnReady on_ready) {
    constexpr int kSilenceMs = 30000;
    epoll_event events[256];
    const int count = epoll_wait(fd_, events, 256, kSilenceMs);
    if (count == 0) Fail("no answer for 30 s");
    for (int i = 0; i < count; ++i) on_ready(events[i].data.ptr);
  }

 private:
  int fd_;
};
