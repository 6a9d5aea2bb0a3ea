// Messages through one queue, or through one stream of redis-server: each place pushes one, takes
// one and acknowledges it, over and over, each request sent when the last is answered. What a place
// takes may be another's, but there is always one. Tells the time of whole rounds.
//
//     queue_load lockstep|redis port clients pipeline seconds bytes
//
// A stream and its consumer group are made anew before.
#include <iostream>

#include "carry.h"

namespace {

const redisReply& At(const redisReply& reply, size_t i) {
  if (reply.type != REDIS_REPLY_ARRAY || i >= reply.elements) {
    Fail("an answer that was not to come: " + Text(reply));
  }
  return *reply.element[i];
}

class Rounds final : public Plan {
 public:
  Rounds(bool lockstep, double seconds, size_t bytes)
      : lockstep_(lockstep), milliseconds_(seconds * 1000), body_(bytes, 'x') {}

  bool AppendNext(Place* place, std::string* out) override {
    if (place->step == 0) {
      if (MillisecondsSince(began_) > milliseconds_) return false;
      place->began = Clock::now();
      Append(lockstep_ ? "DQ.PUSH bench:queue " + body_ : "XADD bench:stream * body " + body_, out);
    } else if (place->step == 1) {
      Append(lockstep_ ? "DQ.POP bench:queue"
                       : "XREADGROUP GROUP g c COUNT 1 STREAMS bench:stream >", out);
    } else {
      Append((lockstep_ ? "DQ.ACK bench:queue " : "XACK bench:stream g ") + place->kept, out);
    }
    return true;
  }

  void OnAnswer(Place* place, const redisReply& reply) override {
    if (place->step == 0) {
      if (reply.type != REDIS_REPLY_STRING) Fail("not pushed: " + Text(reply));
    } else if (place->step == 1) {
      // One row: queue, receipt, body, attempt; or one stream: name, one entry: id, fields.
      const redisReply& row = At(reply, 0);
      place->kept = Text(lockstep_ ? At(row, 1) : At(At(At(row, 1), 0), 0));
    } else {
      RequireSuccess(reply);
      times.Add(MillisecondsSince(place->began));
    }
    place->step = (place->step + 1) % 3;
  }

 private:
  static void Append(const std::string& line, std::string* out) {
    Command(line).AppendTo(out, 0, 0);
  }

  bool lockstep_;
  double milliseconds_;
  std::string body_;
  Clock::time_point began_ = Clock::now();
};

void Ask(int port, const std::string& line) {
  Connection connection(port);
  Command(line).AppendTo(connection.out(), 0, 0);
  connection.Flush();
  bool answered = false;
  Epoll epoll;
  epoll.Add(connection.fd(), nullptr);
  while (!answered) {
    epoll.Wait([&](void*) { connection.Read([&](const redisReply&) { answered = true; }); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() != 6) Fail("queue_load lockstep|redis port clients pipeline seconds bytes");
  const bool lockstep = words[0] == "lockstep";
  const int port = std::stoi(words[1]);
  if (lockstep) {
    Ask(port, "DQ.DROP bench:queue FORCE");
  } else {
    Ask(port, "DEL bench:stream");
    Ask(port, "XGROUP CREATE bench:stream g $ MKSTREAM");
  }
  std::deque<Client> all = Connect(port, std::stoul(words[2]), std::stoul(words[3]));
  Rounds rounds(lockstep, std::stod(words[4]), std::stoul(words[5]));
  Carry(&rounds, &all);
  return 0;
}
