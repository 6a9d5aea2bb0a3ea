// What one command of the cache costs, by what was done with its key before, and on which node.
//
//     cache_steps steps count port,port,... step ...
//         does the steps in turn, each when the one before is answered, `count` times. A step is
//         the place of a port in the list and a command, as in "0 GET bench:{n}"; {n} is the
//         round. Of those that begin with "!" the time is told.
//     cache_steps told count reader-port writer-port key
//         a client with CLIENT TRACKING reads the key, another writes it: how long from then until
//         the first is told.
//
// All is seen by this one thread, so there is one clock.
#include <deque>

#include "client.h"

namespace {

// A connection on which one thing at a time is under way.
class Caller {
 public:
  explicit Caller(int port) : connection_(port) { epoll_.Add(connection_.fd(), &connection_); }

  std::string* out() { return connection_.out(); }
  void Send() { connection_.Flush(); }

  void Send(std::initializer_list<std::string_view> words) {
    AppendCommand(words, out());
    Send();
  }

  // The next thing that comes, as text; of an array its last element's last.
  std::string Next() {
    while (came_.empty()) {
      epoll_.Wait([this](void*) {
        connection_.Read([this](const redisReply& reply) { came_.push_back(Told(reply)); });
      });
    }
    std::string first = std::move(came_.front());
    came_.pop_front();
    return first;
  }

  std::string Call(std::initializer_list<std::string_view> words) {
    Send(words);
    return Next();
  }

 private:
  static std::string Told(const redisReply& reply) {
    if (reply.type == REDIS_REPLY_ERROR) Fail("an answer that was not to come: " + Text(reply));
    const bool has_elements = reply.type == REDIS_REPLY_ARRAY && reply.elements > 0;
    return has_elements ? Told(*reply.element[reply.elements - 1]) : Text(reply);
  }

  Connection connection_;
  Epoll epoll_;
  std::deque<std::string> came_;
};

struct Step {
  bool is_timed;
  Caller* caller;
  Command command;
};

std::vector<Step> ParseSteps(const std::vector<std::string>& lines, std::deque<Caller>* callers) {
  std::vector<Step> steps;
  for (const std::string& line : lines) {
    const bool is_timed = line.front() == '!';
    const size_t blank = line.find(' ');
    const size_t place = std::stoul(line.substr(is_timed ? 1 : 0, blank));
    steps.push_back({is_timed, &callers->at(place), Command(line.substr(blank + 1))});
  }
  return steps;
}

void RunSteps(size_t count, const std::vector<int>& ports, const std::vector<std::string>& lines) {
  std::deque<Caller> callers;
  for (const int port : ports) callers.emplace_back(port);
  const std::vector<Step> steps = ParseSteps(lines, &callers);
  Times times;
  const auto began = Clock::now();
  for (size_t round = 0; round < count; ++round) {
    for (const Step& step : steps) {
      const auto asked = Clock::now();
      step.command.AppendTo(step.caller->out(), round, 0);
      step.caller->Send();
      step.caller->Next();
      if (step.is_timed) times.Add(MillisecondsSince(asked));
    }
  }
  Print(&times, times.count(), MillisecondsSince(began) / 1000);
}

// In RESP2, so it is a third connection that is told; it is on the reader's node.
void RunTold(size_t count, int reader_port, int writer_port, const std::string& key) {
  Caller reader(reader_port), ear(reader_port), writer(writer_port);
  const std::string ear_id = ear.Call({"CLIENT", "ID"});
  ear.Call({"SUBSCRIBE", "__redis__:invalidate"});
  reader.Call({"CLIENT", "TRACKING", "on", "REDIRECT", ear_id});
  writer.Call({"SET", key, "old"});
  Times times;
  const auto began = Clock::now();
  for (size_t round = 0; round < count; ++round) {
    reader.Call({"GET", key});
    const auto written = Clock::now();
    writer.Send({"SET", key, std::to_string(round)});
    if (ear.Next() != key) Fail("told of another key");
    times.Add(MillisecondsSince(written));
    writer.Next();
  }
  Print(&times, times.count(), MillisecondsSince(began) / 1000);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> said(argv + 1, argv + argc);
  if (said.size() >= 4 && said[0] == "steps") {
    RunSteps(std::stoul(said[1]), Ports(said[2]), {said.begin() + 3, said.end()});
  } else if (said.size() == 5 && said[0] == "told") {
    RunTold(std::stoul(said[1]), std::stoi(said[2]), std::stoi(said[3]), said[4]);
  } else {
    Fail("cache_steps steps|told count ...: see the head of cache_steps.cc");
  }
  return 0;
}
