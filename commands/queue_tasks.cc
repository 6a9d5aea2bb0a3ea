#include "commands/queue_tasks.h"

#include <algorithm>
#include <utility>

#include "commands/queue_ops.h"
#include "commands/queue_partitions.h"
#include "src/base/check.h"
#include "src/base/seq_map.h"

namespace lockstep {
namespace {

using Part = Task::Part;

bool DidSomething(const Reply& reply) {
  return !reply.is_error() && !reply.is_nil() && !reply.is_elsewhere() &&
         (reply.kind != Reply::Kind::kInteger || reply.integer != 0);
}

// All parts at once; when the last has answered, their answers are made one.
class GatherTask : public Task {
 public:
  std::optional<Reply> OnReply(size_t part, Reply reply, Next* next) final {
    if (part < first_) return std::nullopt;
    if (!reply.is_elsewhere()) {
      answers_[part - first_] = std::move(reply);
    } else if (!elsewhere_ || reply.integer == static_cast<int64_t>(Elsewhere::kSpread)) {
      elsewhere_ = std::move(reply);
    }
    // What was asked is done, whatever another has answered: it is waited for, and counts.
    if (--awaited_ > 0) return std::nullopt;
    const bool failed = std::any_of(answers_.begin(), answers_.end(),
                                    [](const Reply& one) { return one.is_error(); });
    if (!elsewhere_ || failed) return Made(next);
    const Reply where = *std::exchange(elsewhere_, std::nullopt);
    if (std::optional<Reply> over = Turn(where)) return over;
    return Begin(next);
  }

 protected:
  // All of the next round go to next->ask, but for those that are unheard.
  void Gather(Next* next) {
    first_ = given_;
    const auto heard = std::count_if(next->ask.begin(), next->ask.end(),
                                     [](const Part& one) { return !one.unheard; });
    awaited_ = static_cast<size_t>(heard);
    given_ += awaited_;
    answers_.assign(awaited_, Reply());
  }
  // An answer: it goes on no longer.
  virtual std::optional<Reply> Turn(const Reply& /*elsewhere*/) { return StillMoving(); }
  virtual std::optional<Reply> Merge(std::vector<Reply> answers, Next* next) = 0;

 private:
  std::optional<Reply> Made(Next* next) {
    std::optional<Reply> failed;
    for (const Reply& one : answers_) {
      if (one.is_error()) KeepWorse(one, &failed);
    }
    if (!failed) return Merge(std::move(answers_), next);
    const bool some = std::any_of(answers_.begin(), answers_.end(), DidSomething);
    return (some && !reads_) || did_some_ ? PartlyDone(*failed) : std::move(*failed);
  }

  size_t given_ = 0;  // Numbers, in all rounds.
  size_t first_ = 0;  // Of this one.
  size_t awaited_ = 0;
  std::optional<Reply> elsewhere_;  // Where an answer of this round points.

 protected:
  std::vector<Reply> answers_;  // Of this round, as far as they have come.
  bool reads_ = false;
  bool did_some_ = false;       // Before this round.
};

int64_t SumOf(const std::vector<Reply>& answers) {
  int64_t sum = 0;
  for (const Reply& answer : answers) sum += answer.integer;
  return sum;
}

// Parts that are known from the start.
class PartsTask : public GatherTask {
 public:
  explicit PartsTask(std::vector<Part> parts) : parts_(std::move(parts)) {}
  std::optional<Reply> Begin(Next* next) override {
    next->ask = parts_;
    Gather(next);
    return std::nullopt;
  }

 private:
  std::vector<Part> parts_;
};

class SumTask final : public PartsTask {
 public:
  using PartsTask::PartsTask;

 private:
  std::optional<Reply> Merge(std::vector<Reply> answers, Next*) override {
    return Reply::Integer(SumOf(answers));
  }
};

class PlacesTask final : public PartsTask {
 public:
  PlacesTask(std::vector<Part> parts, std::vector<std::vector<size_t>> places, size_t size)
      : PartsTask(std::move(parts)), places_(std::move(places)), size_(size) {}

 private:
  std::optional<Reply> Merge(std::vector<Reply> answers, Next*) override {
    Reply all = Reply::Array();
    all.items.resize(size_);
    for (size_t i = 0; i < answers.size(); ++i) {
      const size_t given = std::min(answers[i].items.size(), places_[i].size());
      for (size_t j = 0; j < given; ++j) {
        all.items[places_[i][j]] = std::move(answers[i].items[j]);
      }
    }
    return all;
  }
  std::vector<std::vector<size_t>> places_;
  size_t size_;
};

// The same of all partitions at once.
template <class Op>
class OfAllTask : public GatherTask {
 public:
  OfAllTask(const QueueTaskContext& context, Bytes name, Op op, bool reads)
      : name_(std::move(name)), op_(std::move(op)), partitions_(context, name_) {
    reads_ = reads;
  }
  std::optional<Reply> Begin(Next* next) override {
    op_.queue = name_;
    op_.version = partitions_.version();
    for (uint32_t i = 0; i < partitions_.count(); ++i) {
      partitions_.Tell(i, next);
      next->ask.push_back({.group = partitions_.GroupOf(i), .read = reads_, .op = op_.Encode()});
    }
    Gather(next);
    return std::nullopt;
  }

 protected:
  std::optional<Reply> Turn(const Reply& elsewhere) override {
    if (!reads_) before_ += SumOf(answers_);
    did_some_ = before_ > 0;
    if (partitions_.Follow(elsewhere)) return std::nullopt;
    return did_some_ ? PartlyDone(StillMoving()) : StillMoving();
  }
  std::optional<Reply> Merge(std::vector<Reply> answers, Next*) override {
    return Reply::Integer(before_ + SumOf(answers));
  }

 private:
  Bytes name_;
  Op op_;
  Partitions partitions_;
  int64_t before_ = 0;  // Of the rounds before this one.
};

// First it looks whether all are empty: else a part of them would be dropped, and the rest refused.
// Then home decides: what it refuses is dropped nowhere.
class DropTask final : public GatherTask {
 public:
  DropTask(const QueueTaskContext& context, Bytes name, bool force)
      : name_(std::move(name)), force_(force), partitions_(context, name_) {
    if (force) stage_ = Stage::kHome;
  }

  std::optional<Reply> Begin(Next* next) override {
    if (SideOf(name_).dead) return Reply::Integer(0);
    const QueueInfoQuery look{name_, partitions_.version()};
    const DropQueueOp drop{name_, force_, partitions_.version()};
    reads_ = stage_ == Stage::kLook;
    const uint32_t first = stage_ == Stage::kOthers ? 1 : 0;
    const uint32_t end = stage_ == Stage::kHome ? 1 : partitions_.count();
    for (uint32_t i = first; i < end; ++i) {
      partitions_.Tell(i, next);
      next->ask.push_back({.group = partitions_.GroupOf(i), .read = reads_,
                           .op = reads_ ? look.Encode() : drop.Encode()});
    }
    Gather(next);
    return std::nullopt;
  }

 private:
  enum class Stage : uint8_t { kLook, kHome, kOthers };

  std::optional<Reply> Turn(const Reply& elsewhere) override {
    did_some_ |= !reads_ && std::any_of(answers_.begin(), answers_.end(), DidSomething);
    if (partitions_.Follow(elsewhere)) return std::nullopt;
    return did_some_ ? PartlyDone(StillMoving()) : StillMoving();
  }
  std::optional<Reply> Merge(std::vector<Reply> answers, Next* next) override {
    if (stage_ != Stage::kLook) {
      did_some_ |= std::any_of(answers.begin(), answers.end(), DidSomething);
      const bool others = stage_ == Stage::kHome && partitions_.count() > 1;
      stage_ = Stage::kOthers;
      return others ? Begin(next) : Reply::Integer(did_some_ ? 1 : 0);
    }
    const int64_t messages = MessagesIn(answers);
    if (messages > 0) {
      return Reply::Error("ERR", Format("queue '%s' has %ld messages; DQ.DROP %s FORCE drops them "
                                        "too, nothing was changed",
                                        Printable(name_).c_str(), messages,
                                        Printable(name_).c_str()));
    }
    stage_ = Stage::kHome;
    return Begin(next);
  }
  static int64_t MessagesIn(const std::vector<Reply>& infos) {
    int64_t messages = 0;
    for (const Reply& info : infos) {
      for (size_t i = 0; i + 1 < info.items.size(); i += 2) {
        const BytesView key = info.items[i].text;
        const bool counts = key == "ready" || key == "delayed" || key == "leased" || key == "dead";
        if (counts) messages += info.items[i + 1].integer;
      }
    }
    return messages;
  }

  Bytes name_;
  bool force_;
  Stage stage_ = Stage::kLook;
  Partitions partitions_;
};

// Counts are added up. What is the same everywhere is taken from home, who waits waits everywhere,
// and the oldest message is the oldest of all.
class InfoTask final : public OfAllTask<QueueInfoQuery> {
 public:
  using OfAllTask::OfAllTask;

 private:
  std::optional<Reply> Merge(std::vector<Reply> answers, Next*) override {
    Reply all = std::move(answers.front());
    for (size_t i = 0; i + 1 < all.items.size(); i += 2) {
      const BytesView key = all.items[i].text;
      Reply& value = all.items[i + 1];
      const bool of_all = key == "partitions" || key == "shard";
      if (value.kind != Reply::Kind::kInteger || of_all) continue;
      for (size_t other = 1; other < answers.size(); ++other) {
        if (i + 1 >= answers[other].items.size()) continue;
        const int64_t more = answers[other].items[i + 1].integer;
        const bool greatest = key == "oldest" || key == "waiters";
        value.integer = greatest ? std::max(value.integer, more) : value.integer + more;
      }
    }
    return all;
  }
};

// One partition after another, until enough has come together. If no others are known of here, home
// is asked for no more than that: it holds nothing from the partition of FROM on.
class PeekTask final : public Task {
 public:
  PeekTask(const QueueTaskContext& context, Bytes name, PeekQuery query, uint32_t partition)
      : name_(std::move(name)), query_(query), partitions_(context, name_), at_(partition) {}

  std::optional<Reply> Begin(Next* next) override {
    const bool is_known = partitions_.known() != nullptr;
    if (at_ >= partitions_.count() && (is_known || asked_home_)) return rows_;
    PeekQuery query = query_;
    query.queue = name_;
    query.version = partitions_.version();
    asked_home_ = !is_known;
    const uint32_t partition = is_known ? at_ : 0;
    if (partition != at_) query.from = kNoSeq;
    partitions_.Tell(partition, next);
    next->ask.push_back(
        {.group = partitions_.GroupOf(partition), .read = true, .op = query.Encode()});
    return std::nullopt;
  }
  std::optional<Reply> OnReply(size_t, Reply reply, Next* next) override {
    if (reply.is_elsewhere()) {
      return partitions_.Follow(reply) ? Begin(next) : StillMoving();
    }
    if (reply.is_error()) return reply;
    query_.count -= static_cast<uint32_t>(std::min<size_t>(query_.count, reply.items.size()));
    std::move(reply.items.begin(), reply.items.end(), std::back_inserter(rows_.items));
    if (query_.count == 0 || ReplyCost(rows_) > kPageBytesMax) return std::move(rows_);
    query_.from = 0;
    ++at_;
    return Begin(next);
  }

 private:
  Bytes name_;
  PeekQuery query_;
  Partitions partitions_;
  uint32_t at_;
  bool asked_home_ = false;
  Reply rows_ = Reply::Array();
};

// The dead of each partition go back in it.
class MoveTask final : public Task {
 public:
  MoveTask(const QueueTaskContext& context, Bytes name, Bytes destination, MoveOp op)
      : name_(std::move(name)),
        destination_(std::move(destination)),
        op_(op),
        partitions_(context, name_) {}

  std::optional<Reply> Begin(Next* next) override {
    if (at_ >= partitions_.count()) {
      return full_ && moved_ == 0 ? std::move(*full_) : Reply::Integer(moved_);
    }
    op_.queue = name_;
    op_.destination = destination_;
    op_.version = partitions_.version();
    partitions_.Tell(at_, next);
    next->ask.push_back({.group = partitions_.GroupOf(at_), .op = op_.Encode()});
    return std::nullopt;
  }
  std::optional<Reply> OnReply(size_t, Reply reply, Next* next) override {
    if (reply.is_elsewhere()) {
      if (partitions_.Follow(reply)) return Begin(next);
      reply = StillMoving();
    }
    if (reply.text.starts_with("LIMIT") && reply.is_error()) {
      full_ = std::move(reply);  // The next may have room.
      reply = Reply::Integer(0);
    }
    if (reply.is_error()) return moved_ > 0 ? PartlyDone(reply) : reply;
    moved_ += reply.integer;
    if (op_.count > 0) {
      op_.count -= std::min(op_.count, static_cast<uint64_t>(reply.integer));
      if (op_.count == 0) return Reply::Integer(moved_);
    }
    ++at_;
    return Begin(next);
  }

 private:
  Bytes name_, destination_;
  MoveOp op_;
  Partitions partitions_;
  uint32_t at_ = 0;
  int64_t moved_ = 0;
  std::optional<Reply> full_;  // What a partition without room has answered.
};

// DQ.SET, DQ.PAUSE: done at home, then told to all. If there are to be more partitions, all must be
// settled since there last were.
class SetTask final : public GatherTask {
 public:
  SetTask(const QueueTaskContext& context, Bytes encoded, const Reply* elsewhere)
      : encoded_(std::move(encoded)), partitions_(context, NameIn(encoded_)) {
    if (elsewhere == nullptr) return;
    (void)partitions_.Follow(*elsewhere);
    is_done_ = IsDone(*elsewhere);
  }

  std::optional<Reply> Begin(Next* next) override {
    if (is_done_) return TellAll(next);
    if (partitions_.count() > 1 && Wanted() > partitions_.count()) {
      stage_ = Stage::kSettled;
      asked_version_ = partitions_.version();
      const Bytes name(NameIn(encoded_));
      const SettledQuery query{name, asked_version_};
      for (uint32_t i = 0; i < partitions_.count(); ++i) {
        partitions_.Tell(i, next);
        next->ask.push_back(
            {.group = partitions_.GroupOf(i), .read = true, .op = query.Encode()});
      }
      Gather(next);
      return std::nullopt;
    }
    return AskHome(next);
  }

 private:
  enum class Stage : uint8_t { kSettled, kHome, kTold };

  static BytesView NameIn(BytesView encoded) {
    const std::optional<QueueOp> op = DecodeQueueOp(encoded);
    CHECK(op.has_value());
    if (const auto* set = std::get_if<QueueSetOp>(&*op)) return set->queue;
    return std::get<QueuePauseOp>(*op).queue;
  }
  static bool IsDone(const Reply& reply) {
    return static_cast<Elsewhere>(reply.integer) == Elsewhere::kDone;
  }
  uint32_t Wanted() const {
    const std::optional<QueueOp> op = DecodeQueueOp(encoded_);
    uint32_t wanted = 0;
    const auto* set = std::get_if<QueueSetOp>(&*op);
    if (set == nullptr) return wanted;
    for (const auto& [number, value] : set->values) {
      if (number == PartitionsOption()) wanted = static_cast<uint32_t>(value);
    }
    return wanted;
  }
  std::optional<Reply> AskHome(Next* next) {
    stage_ = Stage::kHome;
    Bytes op = encoded_;
    const std::optional<QueueOp> decoded = DecodeQueueOp(encoded_);
    if (const auto* set = std::get_if<QueueSetOp>(&*decoded)) {
      QueueSetOp settled = *set;
      settled.settled = asked_version_;  // Not what has been heard of since.
      op = settled.Encode();
    }
    next->ask.push_back({.group = partitions_.GroupOf(0), .op = std::move(op)});
    Gather(next);
    return std::nullopt;
  }
  std::optional<Reply> TellAll(Next* next) {
    stage_ = Stage::kTold;
    did_some_ = true;
    asked_version_ = partitions_.version();
    for (uint32_t i = 1; i < partitions_.count(); ++i) {
      next->ask.push_back(partitions_.Adoption(i));
    }
    Gather(next);
    return next->ask.empty() ? std::optional(Reply::Ok()) : std::nullopt;
  }
  std::optional<Reply> Turn(const Reply& elsewhere) override {
    is_done_ = is_done_ || IsDone(elsewhere);
    if (partitions_.Follow(elsewhere)) return std::nullopt;
    return is_done_ ? PartlyDone(StillMoving()) : StillMoving();
  }
  std::optional<Reply> Merge(std::vector<Reply> answers, Next* next) override {
    if (stage_ == Stage::kHome) return std::move(answers.front());
    if (stage_ == Stage::kTold) {
      const bool is_latest = partitions_.version() == asked_version_;
      Spreads::Known* known = partitions_.known();
      for (uint32_t i = 1; is_latest && i < partitions_.count(); ++i) {
        partitions_.spreads().Told(known, i);
      }
      return Reply::Ok();
    }
    const bool settled = std::all_of(answers.begin(), answers.end(),
                                     [](const Reply& one) { return one.integer == 1; });
    if (settled) return AskHome(next);
    return Reply::Error("TRYAGAIN", "messages, dead ones among them, and IDs from before the "
                                    "latest change of partitions are still in their old ones; "
                                    "nothing was changed, try again when they are gone");
  }

  Bytes encoded_;
  Partitions partitions_;
  Stage stage_ = Stage::kHome;
  bool is_done_ = false;
  uint64_t asked_version_ = 0;  // By which all were asked, or told.
};

std::unique_ptr<Task> TaskOf(const QueueTaskContext& context, const QueueQuery& query) {
  if (const auto* len = std::get_if<LenQuery>(&query)) {
    return std::make_unique<OfAllTask<LenQuery>>(context, Bytes(len->queue), *len, true);
  }
  if (const auto* info = std::get_if<QueueInfoQuery>(&query)) {
    return std::make_unique<InfoTask>(context, Bytes(info->queue), *info, true);
  }
  if (const auto* peek = std::get_if<PeekQuery>(&query)) {
    return std::make_unique<PeekTask>(context, Bytes(peek->queue), *peek, 0);
  }
  return nullptr;
}

std::unique_ptr<Task> TaskOf(const QueueTaskContext& context, const QueueOp& op) {
  if (const auto* purge = std::get_if<PurgeOp>(&op)) {
    return std::make_unique<OfAllTask<PurgeOp>>(context, Bytes(purge->queue), *purge, false);
  }
  if (const auto* drop = std::get_if<DropQueueOp>(&op)) {
    return std::make_unique<DropTask>(context, Bytes(drop->queue), drop->force);
  }
  if (const auto* move = std::get_if<MoveOp>(&op)) {
    return std::make_unique<MoveTask>(context, Bytes(move->queue), Bytes(move->destination), *move);
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<Task> MakeQueueTask(const QueueTaskContext& context, Bytes encoded,
                                    const Reply* elsewhere) {
  std::unique_ptr<Task> task;
  if (IsQueueQuery(encoded)) {
    const std::optional<QueueQuery> query = DecodeQueueQuery(encoded);
    if (query) task = TaskOf(context, *query);
  } else {
    const std::optional<QueueOp> op = DecodeQueueOp(encoded);
    if (!op) return nullptr;
    if (std::holds_alternative<PushOp>(*op)) {
      return MakePushTask(context, std::move(encoded), elsewhere);
    }
    if (std::holds_alternative<PopOp>(*op)) {
      return MakePopTask(context, std::move(encoded), {}, elsewhere);
    }
    if (std::holds_alternative<QueueSetOp>(*op) || std::holds_alternative<QueuePauseOp>(*op)) {
      return std::make_unique<SetTask>(context, std::move(encoded), elsewhere);
    }
    task = TaskOf(context, *op);
  }
  if (elsewhere != nullptr) context.spreads->Learn(elsewhere->text);
  return task;
}

std::unique_ptr<Task> MakePeekTask(const QueueTaskContext& context, Bytes encoded,
                                   uint32_t partition) {
  const std::optional<QueueQuery> query = DecodeQueueQuery(encoded);
  const auto& peek = std::get<PeekQuery>(query.value());
  return std::make_unique<PeekTask>(context, Bytes(peek.queue), peek, partition);
}

std::unique_ptr<Task> MakeSumTask(std::vector<Part> parts) {
  return std::make_unique<SumTask>(std::move(parts));
}

std::unique_ptr<Task> MakePlacesTask(std::vector<Part> parts,
                                     std::vector<std::vector<size_t>> places, size_t size) {
  return std::make_unique<PlacesTask>(std::move(parts), std::move(places), size);
}

}  // namespace lockstep
