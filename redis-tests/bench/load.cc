// Load on one server where redis-benchmark cannot make it: a lock must be released by who took it,
// under the name that was taken, and once.
//
//     load cycle port clients pipeline seconds command ...
//         each of clients x pipeline places sends the commands in turn, each when the last is
//         answered, over and over; a place has names of its own. Tells the time of whole rounds.
//     load each port clients pipeline count command
//         the command for each of the names 0 to count - 1, once. Tells the time of each.
//     load wait port clients command
//         each client connects; then, told by a line on the standard input, sends the command and
//         stays as long as the input is open. Says "connected" and "sent".
//
// In a command {n} is the number of a name and {c} that of a client.
#include <deque>
#include <iostream>

#include "carry.h"

namespace {

constexpr size_t kNames = 100000;

// Places never meet: place p of s has the names p, p + s, p + 2 s ... below kNames.
class Cycle final : public Plan {
 public:
  Cycle(size_t places, double seconds, std::vector<Command> commands)
      : places_(places), milliseconds_(seconds * 1000), commands_(std::move(commands)) {}

  bool AppendNext(Place* place, std::string* out) override {
    if (place->step == 0) {
      if (MillisecondsSince(began_) > milliseconds_) return false;
      place->began = Clock::now();
    }
    const size_t turn = place->round % (kNames / places_);
    commands_[place->step].AppendTo(out, place->number + turn * places_, place->client);
    return true;
  }

  void OnAnswer(Place* place, const redisReply& reply) override {
    RequireSuccess(reply);
    if (++place->step < commands_.size()) return;
    times.Add(MillisecondsSince(place->began));
    place->step = 0;
    ++place->round;
  }

 private:
  size_t places_;
  double milliseconds_;
  std::vector<Command> commands_;
  Clock::time_point began_ = Clock::now();
};

// The owner of name n is n % clients, whoever sends it: so two runs agree about it.
class Each final : public Plan {
 public:
  Each(size_t clients, size_t count, const std::string& command)
      : clients_(clients), count_(count), command_(command) {}

  bool AppendNext(Place* place, std::string* out) override {
    if (next_ == count_) return false;
    place->began = Clock::now();
    command_.AppendTo(out, next_, next_ % clients_);
    ++next_;
    return true;
  }

  void OnAnswer(Place* place, const redisReply& reply) override {
    RequireSuccess(reply);
    times.Add(MillisecondsSince(place->began));
  }

 private:
  size_t clients_;
  size_t count_;
  size_t next_ = 0;
  Command command_;
};

// A PING first: the server has every connection then, and their cost is not taken for the waits'.
void Wait(int port, size_t clients, const Command& command) {
  std::deque<Connection> all;
  const Command ping("PING");
  for (size_t c = 0; c < clients; ++c) {
    Connection& connection = all.emplace_back(port);
    ping.AppendTo(connection.out(), 0, 0);
    connection.Flush();
    bool answered = false;
    Epoll epoll;
    epoll.Add(connection.fd(), nullptr);
    while (!answered) {
      epoll.Wait([&](void*) { connection.Read([&](const redisReply&) { answered = true; }); });
    }
  }
  std::cout << "connected" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  for (size_t c = 0; c < clients; ++c) {
    command.AppendTo(all[c].out(), c, c);
    all[c].Flush();
  }
  std::cout << "sent" << std::endl;
  std::getline(std::cin, line);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 4) Fail("load cycle|each|wait port clients ...: see the head of load.cc");
  const int port = std::stoi(words[1]);
  const size_t clients = std::stoul(words[2]);
  if (words[0] == "wait") {
    Wait(port, clients, Command(words[3]));
    return 0;
  }
  if (words.size() < 6) Fail("load " + words[0] + " port clients pipeline amount command");
  const size_t pipeline = std::stoul(words[3]);
  std::deque<Client> all = Connect(port, clients, pipeline);
  if (words[0] == "each") {
    Each each(clients, std::stoul(words[4]), words[5]);
    Carry(&each, &all);
  } else {
    const std::vector<Command> commands(words.begin() + 5, words.end());
    Cycle cycle(clients * pipeline, std::stod(words[4]), commands);
    Carry(&cycle, &all);
  }
  return 0;
}
