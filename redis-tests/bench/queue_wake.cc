// From a push until the message is with a consumer who waits for it, one message after the other.
//
//     queue_wake lockstep|redis push-port take-port count queue
//
// Each is pushed only when the server says that the consumer waits. Both ends are seen by this one
// thread, so there is one clock. The queue is to be empty before; a stream has a consumer group g.
#include "queue_words.h"

namespace {

// What waits, in the words of each server.
class Waiting {
 public:
  Waiting(bool lockstep, std::string queue) : lockstep_(lockstep), queue_(std::move(queue)) {}

  // Acknowledges the one before, if there is one, and waits for the next.
  void AppendTake(const std::string& receipt, std::string* out) const {
    if (!lockstep_) {
      if (!receipt.empty()) AppendCommand({"XACK", queue_, "g", receipt}, out);
      AppendCommand(
          {"XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "BLOCK", "0", "STREAMS", queue_, ">"},
          out);
    } else if (receipt.empty()) {
      AppendCommand({"DQ.POP", queue_, "BLOCK", "0"}, out);
    } else {
      AppendCommand({"DQ.POP", queue_, "BLOCK", "0", "ACK", "1", receipt}, out);
    }
  }

  void AppendQuestion(std::string* out) const {
    if (lockstep_) {
      AppendCommand({"DQ.INFO", queue_}, out);
    } else {
      AppendCommand({"INFO", "clients"}, out);
    }
  }

  bool SaysSo(const redisReply& reply) const {
    if (!lockstep_) return Text(reply).find("blocked_clients:1\r") != std::string::npos;
    for (size_t i = 0; i + 1 < reply.elements; i += 2) {
      if (Text(At(reply, i)) == "waiters") return Text(At(reply, i + 1)) == "1";
    }
    FailBy(reply);
  }

 private:
  bool lockstep_;
  std::string queue_;
};

class Wake {
 public:
  Wake(const std::string& server, int push_port, int take_port, const std::string& queue)
      : words_(WordsOf(server)),
        waiting_(server == "lockstep", queue),
        queue_(queue),
        producer_(push_port),
        consumer_(take_port) {
    epoll_.Add(producer_.fd(), &producer_);
    epoll_.Add(consumer_.fd(), &consumer_);
  }

  void Run(size_t count) {
    // The first one brings the queue to life, and waits for the consumer rather than the reverse.
    Push();
    Take();
    while (!is_pushed_ || !is_taken_) Step();
    const auto began = Clock::now();
    for (size_t i = 0; i < count; ++i) {
      Take();
      while (!Waits()) continue;
      Push();
      while (!is_pushed_ || !is_taken_) Step();
      times_.Add(took_ms_);
    }
    Print(&times_, count, MillisecondsSince(began) / 1000);
  }

 private:
  void Push() {
    is_pushed_ = false;
    words_->AppendPush(queue_, std::string(100, 'x'), producer_.out());
    pushed_at_ = Clock::now();
    producer_.Flush();
  }

  void Take() {
    is_taken_ = false;
    waiting_.AppendTake(receipt_, consumer_.out());
    consumer_.Flush();
  }

  bool Waits() {
    is_answered_ = false;
    asks_ = true;
    waiting_.AppendQuestion(producer_.out());
    producer_.Flush();
    while (!is_answered_) Step();
    asks_ = false;
    return waits_;
  }

  void Step() {
    epoll_.Wait([this](void* what) {
      auto* connection = static_cast<Connection*>(what);
      connection->Read([&](const redisReply& reply) {
        if (connection == &consumer_) {
          OnTaken(reply);
        } else {
          OnProducersReply(reply);
        }
      });
    });
  }

  void OnTaken(const redisReply& reply) {
    if (reply.type == REDIS_REPLY_INTEGER) {  // XACK's.
      RequireSuccess(reply);
      return;
    }
    took_ms_ = MillisecondsSince(pushed_at_);
    receipt_ = words_->ReceiptIn(reply);
    is_taken_ = true;
  }

  void OnProducersReply(const redisReply& reply) {
    if (asks_) {
      waits_ = waiting_.SaysSo(reply);
      is_answered_ = true;
    } else {
      words_->RequirePushed(reply);
      is_pushed_ = true;
    }
  }

  std::unique_ptr<QueueWords> words_;
  Waiting waiting_;
  std::string queue_;
  Connection producer_, consumer_;
  Epoll epoll_;
  Times times_;
  Clock::time_point pushed_at_;
  double took_ms_ = 0;
  std::string receipt_;
  bool is_pushed_ = false, is_taken_ = false, asks_ = false, is_answered_ = false, waits_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> said(argv + 1, argv + argc);
  if (said.size() != 5) Fail("queue_wake lockstep|redis push-port take-port count queue");
  Wake wake(said[0], std::stoi(said[1]), std::stoi(said[2]), said[4]);
  wake.Run(std::stoul(said[3]));
  return 0;
}
