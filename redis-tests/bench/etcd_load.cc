// Load on etcd in its own protocol, gRPC: HTTP/2 by nghttp2, the few messages by hand.
//
//     etcd_load cycle port clients seconds    v3lock's Lock and Unlock of one name, over and over,
//                                             each client with a lease that it took before
//     etcd_load put port clients seconds      KV's Put
//
// Debian has no load tool for etcd. Its JSON gateway would be simpler to speak to, but it is a gRPC
// client inside the server that is measured, and would be measured with it.
#include <nghttp2/nghttp2.h>

#include <deque>

#include "client.h"

namespace {

constexpr size_t kNames = 1000;  // A client's own, one after the other.
constexpr uint64_t kLeaseSeconds = 600;

// Protocol buffers, as much as is needed ---------------------------------------------------------

void AppendVarint(std::string* out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) *out += static_cast<char>(value | 0x80);
  *out += static_cast<char>(value);
}

void AppendNumber(std::string* out, int field, uint64_t value) {
  AppendVarint(out, static_cast<uint64_t>(field << 3));
  AppendVarint(out, value);
}

void AppendBytes(std::string* out, int field, const std::string& value) {
  AppendVarint(out, static_cast<uint64_t>(field << 3 | 2));
  AppendVarint(out, value.size());
  *out += value;
}

uint64_t ReadVarint(const std::string& in, size_t* at) {
  uint64_t value = 0;
  for (int shift = 0; *at < in.size() && shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(in[(*at)++]);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  Fail("etcd sent a number without an end");
}

struct Field {
  uint64_t number = 0;
  std::string bytes;
};

Field FindField(const std::string& message, uint64_t wanted) {
  for (size_t at = 0; at < message.size();) {
    const uint64_t tag = ReadVarint(message, &at);
    Field field;
    if ((tag & 7) == 0) {
      field.number = ReadVarint(message, &at);
    } else if ((tag & 7) == 2) {
      const uint64_t size = ReadVarint(message, &at);
      if (size > message.size() - at) break;
      field.bytes = message.substr(at, size);
      at += size;
    } else {
      break;
    }
    if (tag >> 3 == wanted) return field;
  }
  Fail("etcd's answer lacks field " + std::to_string(wanted));
}

// One connection, one call at a time -------------------------------------------------------------

class Call {
 public:
  explicit Call(int port) : fd_(ConnectTo(port)), authority_("127.0.0.1:" + std::to_string(port)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
  }

  ~Call() {
    nghttp2_session_del(session_);
    close(fd_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  int fd() const { return fd_; }
  const std::string& answer() const { return answer_; }

  void Start(const char* path, const std::string& message) {
    request_.assign(1, '\0');  // Not compressed; then the size, big-endian.
    for (int shift = 24; shift >= 0; shift -= 8) {
      request_ += static_cast<char>(message.size() >> shift & 0xff);
    }
    request_ += message;
    sent_ = 0;
    answer_.clear();
    ok_ = false;
    const nghttp2_nv headers[] = {
        Header(":method", "POST"), Header(":scheme", "http"),
        Header(":path", path),     Header(":authority", authority_.c_str()),
        Header("te", "trailers"),  Header("content-type", "application/grpc"),
    };
    nghttp2_data_provider body = {};
    body.source.ptr = this;
    body.read_callback = ReadBody;
    if (nghttp2_submit_request(session_, nullptr, headers, 6, &body, nullptr) < 0) {
      Fail("nghttp2 takes no request");
    }
    Flush();
  }

  // True if the answer is complete. It is a success, or this program ends.
  bool Read() {
    unsigned char buffer[1 << 14];
    const ssize_t size = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size == 0) Fail("etcd closed a connection");
    if (size < 0) return false;
    if (nghttp2_session_mem_recv(session_, buffer, static_cast<size_t>(size)) < 0) {
      Fail("etcd sent what is no HTTP/2");
    }
    Flush();
    if (!done_) return false;
    done_ = false;  // What comes now is no answer: a ping, a window.
    if (!ok_ || answer_.size() < 5) Fail("etcd refused: " + trouble_);
    answer_.erase(0, 5);
    return true;
  }

 private:
  static nghttp2_nv Header(const char* name, const char* value) {
    const auto bytes = [](const char* text) {
      return reinterpret_cast<uint8_t*>(const_cast<char*>(text));
    };
    return {bytes(name), bytes(value), std::strlen(name), std::strlen(value), NGHTTP2_NV_FLAG_NONE};
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t* to, size_t room, uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    auto* self = static_cast<Call*>(source->ptr);
    const size_t size = std::min(room, self->request_.size() - self->sent_);
    std::memcpy(to, self->request_.data() + self->sent_, size);
    self->sent_ += size;
    if (self->sent_ == self->request_.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }

  static int OnData(nghttp2_session*, uint8_t, int32_t, const uint8_t* data, size_t size,
                    void* self) {
    static_cast<Call*>(self)->answer_.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* raw) {
    auto* self = static_cast<Call*>(raw);
    const std::string header(reinterpret_cast<const char*>(name), name_size);
    const std::string text(reinterpret_cast<const char*>(value), value_size);
    if (header == "grpc-status") self->ok_ = text == "0";
    if (header == "grpc-message") self->trouble_ = text;
    return 0;
  }

  static int OnClose(nghttp2_session*, int32_t, uint32_t, void* self) {
    static_cast<Call*>(self)->done_ = true;
    return 0;
  }

  void Flush() {
    std::string out;
    const uint8_t* piece = nullptr;
    ssize_t size = 0;
    while ((size = nghttp2_session_mem_send(session_, &piece)) > 0) {
      out.append(reinterpret_cast<const char*>(piece), static_cast<size_t>(size));
    }
    if (!out.empty()) SendAll(fd_, out);
  }

  int fd_;
  std::string authority_;
  nghttp2_session* session_ = nullptr;
  std::string request_;
  size_t sent_ = 0;
  std::string answer_;
  std::string trouble_ = "no reason given";
  bool done_ = false;
  bool ok_ = false;
};

// What the clients do ----------------------------------------------------------------------------

class Client {
 public:
  Client(int port, size_t number) : call_(port), number_(number) {}

  int fd() const { return call_.fd(); }
  bool Read() { return call_.Read(); }

  void GrantLease() {
    std::string message;
    AppendNumber(&message, 1, kLeaseSeconds);
    call_.Start("/etcdserverpb.Lease/LeaseGrant", message);
  }

  void KeepLease() { lease_ = FindField(call_.answer(), 2).number; }

  void Put() {
    began_ = Clock::now();
    std::string message;
    AppendBytes(&message, 1, Name());
    AppendBytes(&message, 2, "me");
    call_.Start("/etcdserverpb.KV/Put", message);
  }

  void Lock() {
    began_ = Clock::now();
    std::string message;
    AppendBytes(&message, 1, Name());
    AppendNumber(&message, 2, lease_);
    call_.Start("/v3lockpb.Lock/Lock", message);
    locking_ = true;
  }

  void Unlock() {
    std::string message;
    AppendBytes(&message, 1, FindField(call_.answer(), 2).bytes);
    call_.Start("/v3lockpb.Lock/Unlock", message);
    locking_ = false;
  }

  bool locking() const { return locking_; }

  double EndRound() {
    ++round_;
    return MillisecondsSince(began_);
  }

 private:
  std::string Name() const {
    return "bench:" + std::to_string(number_) + ":" + std::to_string(round_ % kNames);
  }

  Call call_;
  size_t number_;
  uint64_t lease_ = 0;
  size_t round_ = 0;
  bool locking_ = false;
  Clock::time_point began_;
};

void Run(std::deque<Client>* clients, bool cycle, double seconds) {
  Epoll epoll;
  Times times;
  const auto began = Clock::now();
  for (Client& client : *clients) {
    epoll.Add(client.fd(), &client);
    cycle ? client.Lock() : client.Put();
  }
  size_t busy = clients->size();
  while (busy > 0) {
    epoll.Wait([&](void* what) {
      auto* client = static_cast<Client*>(what);
      if (!client->Read()) return;
      if (client->locking()) {
        client->Unlock();
        return;
      }
      times.Add(client->EndRound());
      if (MillisecondsSince(began) > seconds * 1000) {
        --busy;
      } else {
        cycle ? client->Lock() : client->Put();
      }
    });
  }
  Print(&times, times.count(), MillisecondsSince(began) / 1000);
}

void TakeLeases(std::deque<Client>* clients) {
  for (Client& client : *clients) {
    Epoll epoll;
    epoll.Add(client.fd(), nullptr);
    client.GrantLease();
    for (bool answered = false; !answered;) {
      epoll.Wait([&](void*) { answered = answered || client.Read(); });
    }
    client.KeepLease();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() != 4) Fail("etcd_load cycle|put port clients seconds");
  const bool cycle = words[0] == "cycle";
  std::deque<Client> clients;
  for (size_t c = 0; c < std::stoul(words[2]); ++c) clients.emplace_back(std::stoi(words[1]), c);
  if (cycle) TakeLeases(&clients);
  Run(&clients, cycle, std::stod(words[3]));
  return 0;
}
