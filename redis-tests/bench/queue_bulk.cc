// Queues filled, and one of them drained, by the hundreds.
//
//     queue_bulk push lockstep|redis port clients count bytes queue,... [delay]
//         each queue its part of `count` messages, or a little more. A client has up to a thousand
//         under way, which are one DQ.MPUSH or a pipeline of XADD. `delay` is in milliseconds, and
//         only for lockstep
//     queue_bulk drain lockstep|redis port clients queue
//         all that is ready, 100 a DQ.POP, which acknowledges those of the one before; or an
//         XREADGROUP, and the XACK of those before in one pipeline with it
//
// "done" and "rate" are messages; the times are those of a thousand, or of a hundred. Streams have
// a consumer group g.
#include "carry.h"
#include "queue_words.h"

namespace {

constexpr size_t kPushed = 1000;
constexpr size_t kPushedBytes = 1 << 20;  // Large ones are fewer at a time.
constexpr const char* kPopped = "100";

size_t RoundedUp(size_t count, size_t parts) {
  return (count + parts - 1) / parts;
}

class Push final : public Plan {
 public:
  Push(bool to_lockstep, size_t count, size_t bytes, const std::vector<std::string>& queues,
       const std::string& delay)
      : to_lockstep_(to_lockstep) {
    const size_t each = RoundedUp(count, queues.size());
    batch_ = std::max<size_t>(1, std::min({kPushed, kPushedBytes / bytes, each}));
    left_ = RoundedUp(each, batch_) * queues.size();
    const std::string body(bytes, 'x');
    for (const std::string& queue : queues) {
      commands_.push_back(to_lockstep ? OfLockstep(queue, body, delay) : OfRedis(queue, body));
    }
  }

  bool AppendNext(Place* place, std::string* out) override {
    if (left_ == 0) return false;
    --left_;
    place->began = Clock::now();
    place->step = place->replies = to_lockstep_ ? 1 : batch_;
    *out += commands_[left_ % commands_.size()];
    return true;
  }

  void OnAnswer(Place* place, const redisReply& reply) override {
    const bool is_right = to_lockstep_ ? reply.type == REDIS_REPLY_ARRAY && reply.elements == batch_
                                       : reply.type == REDIS_REPLY_STRING;
    if (!is_right) FailBy(reply);
    if (--place->step == 0) times.Add(MillisecondsSince(place->began));
  }

  size_t done() const override { return times.count() * batch_; }

 private:
  std::string OfLockstep(const std::string& queue, const std::string& body,
                         const std::string& delay) const {
    const size_t words = 3 + batch_ + (delay.empty() ? 0 : 2);
    std::string command = "*" + std::to_string(words) + "\r\n";
    AppendWords({"DQ.MPUSH", queue, std::to_string(batch_)}, &command);
    for (size_t i = 0; i < batch_; ++i) AppendWords({body}, &command);
    if (!delay.empty()) AppendWords({"DELAY", delay}, &command);
    return command;
  }

  std::string OfRedis(const std::string& queue, const std::string& body) const {
    std::string commands;
    for (size_t i = 0; i < batch_; ++i) RedisWords().AppendPush(queue, body, &commands);
    return commands;
  }

  bool to_lockstep_;
  size_t batch_ = 0;
  size_t left_ = 0;
  std::vector<std::string> commands_;
};

// A place keeps its receipts as they will be sent, and in `step` how many they are. It is done when
// it is told that there is nothing left: that request has acknowledged its last.
class Drain final : public Plan {
 public:
  Drain(bool from_lockstep, std::string queue)
      : from_lockstep_(from_lockstep), queue_(std::move(queue)) {}

  bool AppendNext(Place* place, std::string* out) override {
    if (place->round > 0 && place->step == 0) return false;
    place->began = Clock::now();
    ++place->round;
    if (from_lockstep_) {
      AppendPop(*place, out);
    } else {
      AppendAckAndRead(place, out);
    }
    return true;
  }

  void OnAnswer(Place* place, const redisReply& reply) override {
    if (reply.type == REDIS_REPLY_INTEGER) {  // XACK's, before that of XREADGROUP.
      if (static_cast<size_t>(reply.integer) != place->step) FailBy(reply);
      return;
    }
    times.Add(MillisecondsSince(place->began));
    place->kept.clear();
    place->step = 0;
    if (reply.type == REDIS_REPLY_NIL) return;
    const redisReply& rows = from_lockstep_ ? reply : At(At(reply, 0), 1);
    if (rows.type != REDIS_REPLY_ARRAY || rows.elements == 0) FailBy(rows);
    for (size_t i = 0; i < rows.elements; ++i) {
      AppendWords({Text(At(At(rows, i), from_lockstep_ ? 1 : 0))}, &place->kept);
    }
    place->step = rows.elements;
    taken_ += rows.elements;
  }

  size_t done() const override { return taken_; }

 private:
  void AppendPop(const Place& place, std::string* out) const {
    if (place.step == 0) {
      AppendCommand({"DQ.POP", queue_, "COUNT", kPopped}, out);
      return;
    }
    *out += "*" + std::to_string(6 + place.step) + "\r\n";
    AppendWords({"DQ.POP", queue_, "COUNT", kPopped, "ACK", std::to_string(place.step)}, out);
    *out += place.kept;
  }

  void AppendAckAndRead(Place* place, std::string* out) const {
    place->replies = 1;
    if (place->step > 0) {
      *out += "*" + std::to_string(3 + place->step) + "\r\n";
      AppendWords({"XACK", queue_, "g"}, out);
      *out += place->kept;
      place->replies = 2;
    }
    AppendCommand({"XREADGROUP", "GROUP", "g", "c", "COUNT", kPopped, "STREAMS", queue_, ">"}, out);
  }

  bool from_lockstep_;
  std::string queue_;
  size_t taken_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> said(argv + 1, argv + argc);
  const bool pushes = (said.size() == 7 || said.size() == 8) && said[0] == "push";
  if (!pushes && (said.size() != 5 || said[0] != "drain")) {
    Fail(
        "queue_bulk push server port clients count bytes queue,... [delay] | drain server port "
        "clients queue");
  }
  const bool is_lockstep = said[1] == "lockstep";
  const bool has_delay = said.size() == 8;
  if (!is_lockstep && (said[1] != "redis" || has_delay)) Fail("not for " + said[1]);
  std::deque<Client> all = Connect(std::stoi(said[2]), std::stoul(said[3]), 1);
  if (pushes) {
    Push push(is_lockstep, std::stoul(said[4]), std::stoul(said[5]), Parts(said[6]),
              has_delay ? said[7] : "");
    Carry(&push, &all);
  } else {
    Drain drain(is_lockstep, said[4]);
    Carry(&drain, &all);
  }
  return 0;
}
