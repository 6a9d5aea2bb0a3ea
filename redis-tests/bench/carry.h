// Places on connections, each with one request under way at a time, and a plan that says what each
// sends next.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client.h"

struct Place {
  size_t number = 0;
  size_t client = 0;
  size_t round = 0;
  size_t step = 0;     // Which of the commands is under way.
  size_t replies = 1;  // How many its request brings.
  Clock::time_point began;
  std::string kept;  // What the plan keeps of the last answer.
};

// What a place does next.
class Plan {
 public:
  virtual ~Plan() = default;
  virtual bool AppendNext(Place* place, std::string* out) = 0;  // False if there is no more.
  virtual void OnAnswer(Place* place, const redisReply& reply) = 0;
  virtual size_t done() const { return times.count(); }

  Times times;
};

struct Client {
  Client(int port, std::unique_ptr<Replies> replies) : connection(port, std::move(replies)) {}

  Connection connection;
  std::deque<Place> places;
  std::deque<Place*> awaited;  // In the order of their requests, which is that of the replies.
};

inline bool SendNext(Client* client, Place* place, Plan* plan) {
  if (!plan->AppendNext(place, client->connection.out())) return false;
  client->awaited.insert(client->awaited.end(), place->replies, place);
  return true;
}

inline void Carry(Plan* plan, std::deque<Client>* clients) {
  Epoll epoll;
  for (Client& client : *clients) epoll.Add(client.connection.fd(), &client);
  size_t busy = 0;
  const auto began = Clock::now();
  for (Client& client : *clients) {
    for (Place& place : client.places) busy += SendNext(&client, &place, plan) ? 1 : 0;
    client.connection.Flush();
  }
  while (busy > 0) {
    epoll.Wait([&](void* what) {
      auto* client = static_cast<Client*>(what);
      client->connection.Read([&](const redisReply& reply) {
        Place* const place = client->awaited.front();
        client->awaited.pop_front();
        plan->OnAnswer(place, reply);
        if (!client->awaited.empty() && client->awaited.front() == place) return;  // More to come.
        if (!SendNext(client, place, plan)) --busy;
      });
    });
  }
  Print(&plan->times, plan->done(), MillisecondsSince(began) / 1000);
}

// Client c is connected to the c-th port, round and round.
template <class MakeReplies>
std::deque<Client> Connect(const std::vector<int>& ports, size_t clients, size_t pipeline,
                           MakeReplies make_replies) {
  std::deque<Client> all;
  for (size_t c = 0; c < clients; ++c) {
    all.emplace_back(ports[c % ports.size()], make_replies());
    for (size_t p = 0; p < pipeline; ++p) {
      Place& place = all.back().places.emplace_back();
      place.number = c * pipeline + p;
      place.client = c;
    }
  }
  return all;
}

inline std::deque<Client> Connect(int port, size_t clients, size_t pipeline) {
  return Connect({port}, clients, pipeline, [] { return std::make_unique<RedisReplies>(); });
}
