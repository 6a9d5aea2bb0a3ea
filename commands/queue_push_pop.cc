// DQ.PUSH to a queue with several partitions, DQ.POP of several shards: a step at a time.
#include <algorithm>

#include "commands/queue_partitions.h"

namespace lockstep {
namespace {

using Part = Task::Part;

constexpr int64_t kTakeLeaseMs = 30'000;

class PushTask final : public Task {
 public:
  PushTask(const QueueTaskContext& context, Bytes encoded, const Reply* elsewhere)
      : encoded_(std::move(encoded)),
        op_(std::get<PushOp>(DecodeQueueOp(encoded_).value())),
        partitions_(context, op_.queue) {
    if (elsewhere != nullptr) (void)partitions_.Follow(*elsewhere);
  }

  std::optional<Reply> Begin(Next* next) override {
    Spreads::Known* known = partitions_.known();
    if (known == nullptr) return Ask(0, next);
    const uint32_t count = known->spread.partitions();
    const std::optional<uint32_t> place = PlaceOf(op_, count);
    if (!place) return Ask(known->push_turn++ % count, next);
    const uint32_t old = *PlaceOf(op_, known->spread.before);
    const bool old_first = old != *place && !known->settled[old] && !asked_old_;
    asks_old_ = old_first ? std::optional(old) : std::nullopt;
    return Ask(old_first ? old : *place, next);
  }
  std::optional<Reply> OnReply(size_t, Reply reply, Next* next) override {
    if (!reply.is_elsewhere()) return reply;
    // What was said under one version is nothing under the next.
    const bool holds = asks_old_ && op_.version == partitions_.version();
    const auto why = static_cast<Elsewhere>(reply.integer);
    asked_old_ = holds && (why == Elsewhere::kMoved || why == Elsewhere::kSettled);
    Spreads::Known* known = partitions_.known();
    if (holds && why == Elsewhere::kSettled && known != nullptr) {
      partitions_.spreads().Settle(known, *asks_old_);
    }
    return partitions_.Follow(reply) ? Begin(next) : StillMoving();
  }

 private:
  std::optional<Reply> Ask(uint32_t partition, Next* next) {
    op_.version = partitions_.version();
    partitions_.Tell(partition, next);
    next->ask.push_back({.group = partitions_.GroupOf(partition), .op = op_.Encode()});
    return std::nullopt;
  }

  Bytes encoded_;
  PushOp op_;  // Borrows from it.
  Partitions partitions_;
  bool asked_old_ = false;            // It has let go of this message.
  std::optional<uint32_t> asks_old_;  // The partition that is asked, if it is an old one.
};

// Looks in at all queues, from left to right, then waits at all of them at once. Of several that
// deliver at the same time one is taken; the others get theirs back.
class PopTask final : public Task {
 public:
  PopTask(const QueueTaskContext& context, Bytes encoded, std::vector<Part> acks,
          const Reply* elsewhere)
      : context_(context),
        encoded_(std::move(encoded)),
        op_(std::get<PopOp>(DecodeQueueOp(encoded_).value())),
        acks_(std::move(acks)) {
    if (elsewhere != nullptr) (void)Partitions(context, op_.queues.front()).Follow(*elsewhere);
    if (op_.acks.empty()) return;
    // It may have waited there until the queue grew: then they are acknowledged, and not again.
    did_some_ = elsewhere != nullptr;
    const GroupId home = Partitions(context, op_.queues.front()).GroupOf(0);
    acks_.push_back({.group = home, .op = QueueAckOp{op_.queues.front(), op_.acks}.Encode()});
  }

  std::optional<Reply> Begin(Next* next) override {
    if (acks_.empty()) return Look(next);
    stage_ = Stage::kAck;
    Give(acks_, next);
    return std::nullopt;
  }

  std::optional<Reply> OnReply(size_t part, Reply reply, Next* next) override {
    if (part < first_) return std::nullopt;
    if (reply.is_elsewhere()) return FollowElsewhere(reply, next);
    if (stage_ == Stage::kAck) {
      did_some_ |= reply.integer > 0;
      if (reply.is_error()) KeepWorse(reply, &failed_);
      if (--open_ > 0) return std::nullopt;
      return failed_ ? std::optional(Failed(*failed_)) : Look(next);
    }
    if (stage_ == Stage::kTake) return Taken(part - first_, reply, next);
    if (reply.is_error()) return Failed(std::move(reply));
    if (!reply.is_nil()) return TakesLease() ? Take(part - first_, std::move(reply), next) : reply;
    if (stage_ == Stage::kLook) return ++at_ < targets_.size() ? AskNext(next) : Wait(next);
    return reply;  // They all end at about the same time.
  }

  bool may_wait() const override { return op_.wait_ms.has_value(); }
  bool hands_over() const override { return true; }
  bool binds() const override { return op_.tied.has_value(); }
  void StopWaiting(bool with_error) override { stopped_ = with_error ? kError : kNil; }

 private:
  enum class Stage : uint8_t { kAck, kLook, kWait, kTake };
  enum Stopped : uint8_t { kNo, kNil, kError };
  struct Target {
    std::vector<BytesView> queues;  // Of one shard, side by side in the command.
    GroupId group;
    uint32_t partition = 0;
    uint64_t version = 0;
  };

  void Give(std::vector<Part> parts, Next* next) {
    first_ = given_;
    open_ = parts.size();
    given_ += open_;
    std::move(parts.begin(), parts.end(), std::back_inserter(next->ask));
  }

  // Whoever is asked first of many partitions differs from one time to the next.
  void FindTargets() {
    targets_.clear();
    for (const BytesView queue : op_.queues) {
      const Partitions where(context_, queue);
      const uint32_t count = where.count();
      const uint32_t turn = count > 1 ? where.known()->pop_turn++ : 0;
      for (uint32_t i = 0; i < count; ++i) {
        const uint32_t partition = (turn + i) % count;
        const GroupId group = where.GroupOf(partition);
        const bool joins = where.version() == 0 && !targets_.empty() &&
                           targets_.back().group == group && targets_.back().version == 0;
        if (joins) {
          targets_.back().queues.push_back(queue);
        } else {
          targets_.push_back({{queue}, group, partition, where.version()});
        }
      }
    }
  }

  std::optional<Reply> Look(Next* next) {
    FindTargets();
    stage_ = Stage::kLook;
    at_ = 0;
    return AskNext(next);
  }
  std::optional<Reply> AskNext(Next* next) {
    Tell(targets_[at_], next);
    Give({PartOf(targets_[at_], std::nullopt)}, next);
    return std::nullopt;
  }
  std::optional<Reply> Wait(Next* next) {
    if (!op_.wait_ms || stopped_ == kNil) return Reply::NilArray();
    if (stopped_ == kError) {
      return Reply::Error("UNBLOCKED", "client unblocked via CLIENT UNBLOCK");
    }
    stage_ = Stage::kWait;
    std::vector<Part> parts;
    for (const Target& target : targets_) {
      Tell(target, next);
      parts.push_back(PartOf(target, op_.wait_ms));
    }
    Give(std::move(parts), next);
    return std::nullopt;
  }
  // NOACK at several places: of what comes from the others at the same moment nothing may be lost,
  // so it is leased, and acknowledged before it is given out.
  bool TakesLease() const {
    return op_.noack && stage_ == Stage::kWait && targets_.size() > 1;
  }
  std::optional<Reply> Take(size_t at, Reply rows, Next* next) {
    std::vector<Part> parts;
    for (const Reply& row : rows.items) {
      const ReceiptText text = ParseReceipt(row.items.at(1).text).value_or(ReceiptText());
      const QueueAckOp ack{row.items.at(0).text, {text.receipt}};
      parts.push_back({.group = targets_.at(at).group, .op = ack.Encode()});
    }
    rows_ = std::move(rows);
    from_ = targets_.at(at).group;
    stage_ = Stage::kTake;
    next->give_up = true;
    Give(std::move(parts), next);
    return std::nullopt;
  }
  // One that somebody has deleted meanwhile is not given out. Without an answer all go back where
  // they were; beside those that are given out, those do that are not.
  std::optional<Reply> Taken(size_t at, const Reply& acked, Next* next) {
    if (acked.is_error()) {
      KeepWorse(acked, &failed_);
      refused_.push_back(at);
    }
    if (acked.integer == 1) taken_.Add(std::move(rows_.items.at(at)));
    did_some_ |= acked.integer == 1;
    if (--open_ > 0) return std::nullopt;
    if (taken_.items.empty()) return failed_ ? Failed(*failed_) : Reply::NilArray();
    for (const size_t one : refused_) {
      const Reply& row = rows_.items.at(one);
      NackOp nack;
      nack.queue = row.items.at(0).text;
      nack.receipts = {ParseReceipt(row.items.at(1).text).value_or(ReceiptText()).receipt};
      nack.how = NackOp::How::kRelease;
      next->ask.push_back({.group = from_, .op = nack.Encode(), .unheard = true});
    }
    return std::move(taken_);
  }
  // Nothing was changed, it says; but what was to be acknowledged may be.
  Reply Failed(Reply error) const {
    if (!did_some_ || error.text.starts_with("UNBLOCKED")) return error;
    const Bytes what = "what ACK named may be acknowledged, nothing was popped, for: ";
    return Reply::Error("UNCERTAIN", what + error.text);
  }

  std::optional<Reply> FollowElsewhere(const Reply& elsewhere, Next* next) {
    if (++turns_ >= Partitions::kTurnsMax) return Failed(StillMoving());
    // Which queue it was the answer says, if it names one; else its version was told in vain.
    Partitions first(context_, op_.queues.front());
    (void)first.Follow(elsewhere);
    if (static_cast<Elsewhere>(elsewhere.integer) == Elsewhere::kBehind) {
      for (const BytesView queue : op_.queues) {
        (void)Partitions(context_, queue).Follow(elsewhere);
      }
    }
    next->give_up = true;
    return Look(next);
  }
  void Tell(const Target& target, Next* next) const {
    if (target.version != 0) {
      Partitions(context_, target.queues.front()).Tell(target.partition, next);
    }
  }
  Part PartOf(const Target& target, std::optional<int64_t> wait_ms) const {
    PopOp op = op_;
    op.queues = target.queues;
    op.version = target.version;
    op.wait_ms = wait_ms;
    if (TakesLease()) {
      op.noack = false;
      op.lease_ms = kTakeLeaseMs;  // Meanwhile it is acknowledged, or given back.
    }
    op.acks.clear();
    return {.group = target.group, .op = op.Encode(), .may_wait = wait_ms.has_value(),
            .hands_over = true};
  }

  QueueTaskContext context_;
  Bytes encoded_;
  PopOp op_;  // Borrows from it.
  std::vector<Part> acks_;
  Stage stage_ = Stage::kAck;
  Stopped stopped_ = kNo;
  std::vector<Target> targets_;
  size_t at_ = 0;     // Of them, while it looks in.
  size_t given_ = 0;  // Parts, in all; from `first_` on those of this step,
  size_t first_ = 0;
  size_t open_ = 0;   // of which so many have not answered.
  Reply rows_;                      // Leased, and being acknowledged,
  GroupId from_;                    // from here;
  Reply taken_ = Reply::Array();    // those of them that are.
  bool did_some_ = false;           // Something may have been acknowledged.
  std::optional<Reply> failed_;     // What of that was refused: the others are waited for.
  std::vector<size_t> refused_;     // Of the rows.
  int turns_ = 0;
};

}  // namespace

std::unique_ptr<Task> MakePushTask(const QueueTaskContext& context, Bytes encoded,
                                   const Reply* elsewhere) {
  return std::make_unique<PushTask>(context, std::move(encoded), elsewhere);
}

std::unique_ptr<Task> MakePopTask(const QueueTaskContext& context, Bytes encoded,
                                  std::vector<Part> acks, const Reply* elsewhere) {
  return std::make_unique<PopTask>(context, std::move(encoded), std::move(acks), elsewhere);
}

std::optional<uint32_t> StraightTo(Spreads::Known* known, const PushOp& op) {
  const uint32_t count = known->spread.partitions();
  const std::optional<uint32_t> place = PlaceOf(op, count);
  if (place) {
    const uint32_t old = *PlaceOf(op, known->spread.before);
    if (old != *place && !known->settled[old]) return std::nullopt;
  }
  const uint32_t to = place ? *place : known->push_turn % count;
  if (!known->told[to]) return std::nullopt;
  if (!place) ++known->push_turn;
  return to;
}

}  // namespace lockstep
