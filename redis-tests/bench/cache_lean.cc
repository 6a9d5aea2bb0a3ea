// GET or SET from a client that costs next to nothing, so that on few cores it is the server that
// limits: requests are put together before, and of the replies only the bytes are counted.
//
//     cache_lean get|set port clients pipeline keys size seconds
//
// Keys and values are those of cache_load.cc; they must be there, or a GET's reply is too short and
// never ends. Each client sends `pipeline` commands at once, and the next when all are answered:
// that is the time that is told.
#include <cstdint>
#include <deque>
#include <random>

#include "client.h"

namespace {

std::vector<std::string> MakeRequests(const std::string& work, size_t pipeline, size_t keys,
                                      const std::string& value) {
  constexpr size_t kRequests = 256;
  std::mt19937_64 dice(1);
  std::vector<std::string> requests(kRequests);
  for (std::string& request : requests) {
    for (size_t i = 0; i < pipeline; ++i) {
      char key[32];
      std::snprintf(key, sizeof key, "key:%012zu", static_cast<size_t>(dice() % keys));
      if (work == "get") {
        AppendCommand({"GET", key}, &request);
      } else {
        AppendCommand({"SET", key, value}, &request);
      }
    }
  }
  return requests;
}

std::string ReplyTo(const std::string& work, const std::string& value) {
  if (work == "set") return "+OK\r\n";
  std::string reply;
  AppendWords({value}, &reply);
  return reply;
}

struct Client {
  int fd = -1;
  size_t awaited = 0;  // Bytes.
  Clock::time_point began;
};

class Lean {
 public:
  Lean(const std::string& work, int port, size_t clients, size_t pipeline, size_t keys, size_t size)
      : requests_(MakeRequests(work, pipeline, keys, std::string(size, 'x'))),
        reply_(ReplyTo(work, std::string(size, 'x'))),
        pipeline_(pipeline) {
    for (size_t c = 0; c < clients; ++c) {
      clients_.emplace_back().fd = ConnectTo(port);
      epoll_.Add(clients_.back().fd, &clients_.back());
    }
  }

  void Run(double seconds) {
    const auto began = Clock::now();
    for (Client& client : clients_) Send(&client);
    size_t busy = clients_.size();
    while (busy > 0) {
      epoll_.Wait([&](void* what) {
        auto* client = static_cast<Client*>(what);
        if (!IsAnswered(client)) return;
        times_.Add(MillisecondsSince(client->began));
        if (MillisecondsSince(began) < seconds * 1000) {
          Send(client);
        } else {
          --busy;
        }
      });
    }
    Print(&times_, times_.count() * pipeline_, MillisecondsSince(began) / 1000);
  }

 private:
  void Send(Client* client) {
    client->began = Clock::now();
    client->awaited = reply_.size() * pipeline_;
    SendAll(client->fd, requests_[next_++ % requests_.size()]);
  }

  bool IsAnswered(Client* client) {
    static char buffer[1 << 16];
    const ssize_t size = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (size <= 0) Fail("a connection ended");
    const auto came = static_cast<size_t>(size);
    const bool is_first = client->awaited == reply_.size() * pipeline_;
    const size_t shown = std::min(came, reply_.size());
    if (came > client->awaited || (is_first && reply_.compare(0, shown, buffer, shown) != 0)) {
      Fail("an answer that was not to come: " + std::string(buffer, shown));
    }
    client->awaited -= came;
    return client->awaited == 0;
  }

  std::vector<std::string> requests_;
  std::string reply_;
  size_t pipeline_;
  Epoll epoll_;
  std::deque<Client> clients_;
  Times times_;
  size_t next_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> said(argv + 1, argv + argc);
  if (said.size() != 7 || (said[0] != "get" && said[0] != "set")) {
    Fail("cache_lean get|set port clients pipeline keys size seconds");
  }
  Lean lean(said[0], std::stoi(said[1]), std::stoul(said[2]), std::stoul(said[3]),
            std::stoul(said[4]), std::stoul(said[5]));
  lean.Run(std::stod(said[6]));
  return 0;
}
