// Messages through queues, or through what stands for them elsewhere: each place does one thing
// after the other, each request sent when the last is answered.
//
//     queue_load push|pop|pop-ack|message lockstep|redis|beanstalk port,... clients pipeline amount
//                bytes queue,...
//
//     push     pushes one
//     pop      takes one that is there, and acknowledges it by a request of its own
//     pop-ack  takes one that is there and acknowledges the one before by the same request. A
//              place's last one stays as it is. Only lockstep
//     message  pushes one, takes one and acknowledges it. What a place takes may be another's, but
//              there is always one
//
// `amount` is a number of messages, or of seconds if an s follows.
//
// The rounds go from queue to queue, so that each has as many. Tells the time of whole rounds.
// Queues are to be empty before; streams have a consumer group g.
#include <functional>
#include <iostream>

#include "carry.h"
#include "queue_words.h"

namespace {

enum class Deed { kPush, kTake, kAck, kAckAndTake };

std::vector<Deed> DeedsOf(const std::string& work) {
  if (work == "push") return {Deed::kPush};
  if (work == "pop") return {Deed::kTake, Deed::kAck};
  if (work == "pop-ack") return {Deed::kAckAndTake};
  if (work == "message") return {Deed::kPush, Deed::kTake, Deed::kAck};
  Fail("no such work: " + work);
}

class Rounds final : public Plan {
 public:
  Rounds(std::vector<Deed> deeds, const QueueWords* words, std::vector<std::string> queues,
         size_t bytes, std::function<bool()> begins_another)
      : deeds_(std::move(deeds)),
        words_(words),
        queues_(std::move(queues)),
        body_(bytes, 'x'),
        begins_another_(std::move(begins_another)) {}

  bool AppendNext(Place* place, std::string* out) override {
    if (place->step == 0) {
      if (!begins_another_()) return false;
      place->began = Clock::now();
      place->round = rounds_++;
    }
    const std::string& queue = queues_[place->round % queues_.size()];
    switch (deeds_[place->step]) {
      case Deed::kPush:
        words_->AppendPush(queue, body_, out);
        break;
      case Deed::kTake:
        words_->AppendTake(queue, out);
        break;
      case Deed::kAck:
        words_->AppendAck(queue, place->kept, out);
        break;
      case Deed::kAckAndTake:
        AppendAckAndTake(queue, place->kept, out);
        break;
    }
    return true;
  }

  void OnAnswer(Place* place, const redisReply& reply) override {
    switch (deeds_[place->step]) {
      case Deed::kPush:
        words_->RequirePushed(reply);
        break;
      case Deed::kTake:
      case Deed::kAckAndTake:
        place->kept = words_->ReceiptIn(reply);
        break;
      case Deed::kAck:
        words_->RequireAcknowledged(reply);
        break;
    }
    if (++place->step < deeds_.size()) return;
    times.Add(MillisecondsSince(place->began));
    place->step = 0;
  }

 private:
  void AppendAckAndTake(const std::string& queue, const std::string& receipt, std::string* out) {
    const auto* lockstep = dynamic_cast<const LockstepWords*>(words_);
    if (lockstep == nullptr || queues_.size() != 1) Fail("pop-ack is for one queue of lockstep");
    if (receipt.empty()) {
      lockstep->AppendTake(queue, out);
    } else {
      lockstep->AppendAckAndTake(queue, receipt, out);
    }
  }

  std::vector<Deed> deeds_;
  const QueueWords* words_;
  std::vector<std::string> queues_;
  std::string body_;
  std::function<bool()> begins_another_;
  size_t rounds_ = 0;
};

std::function<bool()> Until(const std::string& amount) {
  if (amount.ends_with('s')) {
    const double milliseconds = std::stod(amount) * 1000;
    return [began = Clock::now(), milliseconds] { return MillisecondsSince(began) < milliseconds; };
  }
  return [left = std::stoul(amount)]() mutable {
    if (left == 0) return false;
    --left;
    return true;
  };
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> said(argv + 1, argv + argc);
  if (said.size() != 8)
    Fail("queue_load work server port,... clients pipeline amount bytes queue,...");
  const std::unique_ptr<QueueWords> words = WordsOf(said[1]);
  std::deque<Client> all = Connect(Ports(said[2]), std::stoul(said[3]), std::stoul(said[4]),
                                   [&words] { return words->NewReplies(); });
  Rounds rounds(DeedsOf(said[0]), words.get(), Parts(said[7]), std::stoul(said[6]), Until(said[5]));
  Carry(&rounds, &all);
  return 0;
}
