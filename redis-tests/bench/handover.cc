// One lock that all want: how long it takes from one holder to the next.
//
//     handover port,port,port clients seconds
//
// Client c is connected to the c-th port, round and round, so that the next in line is at another
// node. Who is granted the lock releases it at once and queues again in the same packet. What is
// timed: from then until the next one, on another node, has its token. Both ends are seen by this
// one thread, so there is one clock.
#include <deque>

#include "client.h"

namespace {

struct Client {
  Client(int port, size_t client_number, size_t node_number)
      : connection(port), number(client_number), node(node_number) {}

  Connection connection;
  size_t number;
  size_t node;
  bool releasing = false;  // The next reply is the RELEASE's.
};

class HotLock {
 public:
  HotLock(const std::vector<int>& ports, size_t clients) {
    for (size_t c = 0; c < clients; ++c) {
      Client& client = clients_.emplace_back(ports[c % ports.size()], c, c % ports.size());
      epoll_.Add(client.connection.fd(), &client);
    }
  }

  void Run(double seconds) {
    for (Client& client : clients_) {
      acquire_.AppendTo(client.connection.out(), 0, client.number);
      client.connection.Flush();
    }
    // The first round fills the queue.
    while (grants_ < clients_.size()) Step();
    times_ = Times();
    const size_t before = grants_;
    const auto began = Clock::now();
    while (MillisecondsSince(began) < seconds * 1000) Step();
    Print(&times_, grants_ - before, MillisecondsSince(began) / 1000);
  }

 private:
  void Step() {
    epoll_.Wait([this](void* what) {
      auto* client = static_cast<Client*>(what);
      client->connection.Read([&](const redisReply& reply) { OnReply(client, reply); });
    });
  }

  void OnReply(Client* client, const redisReply& reply) {
    RequireSuccess(reply);
    if (client->releasing) {
      client->releasing = false;
      return;
    }
    ++grants_;
    if (client->node != last_node_) times_.Add(MillisecondsSince(released_at_));
    last_node_ = client->node;
    release_.AppendTo(client->connection.out(), 0, client->number);
    acquire_.AppendTo(client->connection.out(), 0, client->number);
    client->releasing = true;
    released_at_ = Clock::now();
    client->connection.Flush();
  }

  const Command acquire_{"LOCK.ACQUIRE bench:hot w{c} TTL 600000 BLOCK 0"};
  const Command release_{"LOCK.RELEASE bench:hot w{c}"};
  Epoll epoll_;
  std::deque<Client> clients_;
  Times times_;
  size_t grants_ = 0;
  size_t last_node_ = 0;
  Clock::time_point released_at_ = Clock::now();
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) Fail("handover port,port,port clients seconds");
  HotLock lock(Ports(argv[1]), std::stoul(argv[2]));
  lock.Run(std::stod(argv[3]));
  return 0;
}
