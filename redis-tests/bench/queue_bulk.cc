// One queue of Lockstep filled and drained by the hundreds.
//
//     queue_bulk push port clients count bytes queue
//         `count` messages, a thousand a DQ.MPUSH
//     queue_bulk drain port clients queue
//         all that is ready, 100 a DQ.POP, which acknowledges those of the one before
//
// "done" and "rate" are messages; the times are those of requests.
#include "carry.h"
#include "queue_words.h"

namespace {

constexpr size_t kPushed = 1000;
constexpr const char* kPopped = "100";

class Push final : public Plan {
 public:
  Push(size_t count, size_t bytes, const std::string& queue) : left_(count / kPushed) {
    if (count % kPushed != 0) Fail("the count must be whole thousands");
    const std::string body =
        "$" + std::to_string(bytes) + "\r\n" + std::string(bytes, 'x') + "\r\n";
    command_ = "*" + std::to_string(kPushed + 3) + "\r\n$8\r\nDQ.MPUSH\r\n$" +
               std::to_string(queue.size()) + "\r\n" + queue + "\r\n$4\r\n" +
               std::to_string(kPushed) + "\r\n";
    for (size_t i = 0; i < kPushed; ++i) command_ += body;
  }

  bool AppendNext(Place* place, std::string* out) override {
    if (left_ == 0) return false;
    --left_;
    place->began = Clock::now();
    *out += command_;
    return true;
  }

  void OnAnswer(Place* place, const redisReply& reply) override {
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements != kPushed) FailBy(reply);
    times.Add(MillisecondsSince(place->began));
  }

  size_t done() const override { return times.count() * kPushed; }

 private:
  size_t left_;
  std::string command_;
};

// A place keeps its receipts as they will be sent, and in `step` how many they are. It is done when
// it is told that there is nothing left: that request has acknowledged its last.
class Drain final : public Plan {
 public:
  explicit Drain(std::string queue) : queue_(std::move(queue)) {}

  bool AppendNext(Place* place, std::string* out) override {
    if (place->round > 0 && place->step == 0) return false;
    place->began = Clock::now();
    ++place->round;
    if (place->step == 0) {
      AppendCommand({"DQ.POP", queue_, "COUNT", kPopped}, out);
      return true;
    }
    *out += "*" + std::to_string(6 + place->step) + "\r\n";
    AppendWords({"DQ.POP", queue_, "COUNT", kPopped, "ACK", std::to_string(place->step)}, out);
    *out += place->kept;
    return true;
  }

  void OnAnswer(Place* place, const redisReply& reply) override {
    times.Add(MillisecondsSince(place->began));
    place->kept.clear();
    place->step = 0;
    if (reply.type == REDIS_REPLY_NIL) return;
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements == 0) FailBy(reply);
    for (size_t i = 0; i < reply.elements; ++i) {
      AppendWords({Text(At(At(reply, i), 1))}, &place->kept);
    }
    place->step = reply.elements;
    taken_ += reply.elements;
  }

  size_t done() const override { return taken_; }

 private:
  std::string queue_;
  size_t taken_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> said(argv + 1, argv + argc);
  const bool pushes = said.size() == 6 && said[0] == "push";
  if (!pushes && (said.size() != 4 || said[0] != "drain")) {
    Fail("queue_bulk push port clients count bytes queue | drain port clients queue");
  }
  std::deque<Client> all = Connect(std::stoi(said[1]), std::stoul(said[2]), 1);
  if (pushes) {
    Push push(std::stoul(said[3]), std::stoul(said[4]), said[5]);
    Carry(&push, &all);
  } else {
    Drain drain(said[3]);
    Carry(&drain, &all);
  }
  return 0;
}
