// Clients of the cache who look at several keys together: litmus tests, and keys that are only
// ever written at once.
#include <algorithm>
#include <iterator>

#include "tests/sim/cache_client.h"

namespace lockstep::sim {
namespace {

constexpr size_t kSessions = 4;

// One of the classical shapes after the other, each of its threads one pipeline through one node.
class Litmus final : public CacheClient {
 public:
  Litmus(World* world, LockChecker* checker, uint32_t number)
      : CacheClient(world, checker, Format("litmus%u", number)) {
    for (size_t i = 0; i < kSessions; ++i) threads_.push_back(std::make_unique<Session>(world));
  }

 private:
  // The same two keys again, unless something may still happen to them.
  void Round() override {
    x_ = Format("%s-%lux", owner().c_str(), keys_);
    y_ = Format("%s-%luy", owner().c_str(), keys_);
    before_.clear();
    shape_ = kShapes[world_->rng().Below(std::size(kShapes))];
    program_ = ProgramOf(shape_, x_, y_, Format("%s.%lu", owner().c_str(), ++stamp_));
    Write(x_, [this] { Write(y_, [this] { Warm(); }); });
  }

  void Write(const Bytes& key, const std::function<void()>& then) {
    const Bytes value = NewValue();
    session().Call({"SET", key, value}, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      const Told told = ToldBy(reply, sent);
      if (told == Told::kAnswered) {
        before_[key] = value;
        return then();
      }
      ++keys_;
      session().HangUp();
      Next(200'000);
    });
  }

  // Mostly everybody has the old values when it begins.
  void Warm() {
    open_ = 1;
    for (size_t i = 0; i < program_.size(); ++i) {
      if (Chance(10)) threads_[i]->HangUp();
      for (const Bytes& key : {x_, y_}) {
        if (Chance(30)) continue;
        ++open_;
        threads_[i]->Call({"GET", key}, kPatienceUs,
                          [this](const Reply*, bool) { WarmOne(); });
      }
    }
    WarmOne();
  }

  void WarmOne() {
    if (--open_ == 0) Go();
  }

  void Go() {
    open_ = 0;
    refused_.clear();
    for (const Thread& thread : program_) open_ += thread.size();
    for (size_t i = 0; i < program_.size(); ++i) {
      Begin(i, Chance(50) ? 0 : Between(0, 4 * world_->swarm().latency_us));
    }
  }

  void Begin(size_t thread, int64_t after_us) {
    world_->events().After(after_us, [this, thread] {
      for (size_t step = 0; step < program_[thread].size(); ++step) Take(thread, step);
    });
  }

  void Take(size_t thread, size_t step) {
    const Access& access = program_[thread][step].accesses.front();
    Argv argv = {"GET", access.key};
    if (access.writes) argv = {"SET", access.key, *access.value};
    threads_[thread]->Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      if (world_->narrating()) Tell(argv, reply);
      OnStep(thread, step, reply, sent);
    });
  }

  void OnStep(size_t thread, size_t number, const Reply* reply, bool sent) {
    LitmusStep& step = program_[thread][number];
    const Told told = ToldBy(reply, sent);
    step.answered = told == Told::kAnswered;
    if (told == Told::kUnknown) ++lost_;
    if (told == Told::kRefused) refused_.insert({thread, number});
    if (step.answered && !step.accesses.front().writes && !reply->is_nil()) {
      step.accesses.front().value = reply->text;
    }
    if (--open_ == 0) Finish();
  }

  // What was refused did not happen. From the last on, so that the others keep their numbers.
  void Finish() {
    for (auto at = refused_.rbegin(); at != refused_.rend(); ++at) {
      Thread& thread = program_[at->first];
      thread.erase(thread.begin() + static_cast<std::ptrdiff_t>(at->second));
    }
    world_->cache().Judge(shape_, program_, before_);
    if (lost_ > 0) ++keys_;
    const bool bad = lost_ > 0 || !refused_.empty();
    lost_ = 0;
    Next(bad ? 300'000 : 30'000);
  }

  std::vector<std::unique_ptr<Session>> threads_;
  Shape shape_ = Shape::kStoreBuffering;
  std::vector<Thread> program_;
  Registers before_;
  Bytes x_, y_;
  std::set<std::pair<size_t, size_t>> refused_;
  uint64_t keys_ = 0;
  uint64_t stamp_ = 0;
  size_t open_ = 0;
  size_t lost_ = 0;
};

// Writes a set of keys with one stamp, or reads them all.
class Stamper final : public CacheClient {
 public:
  Stamper(World* world, LockChecker* checker, uint32_t number)
      : CacheClient(world, checker, Format("mset%u", number)) {}

 private:
  // How many keys belong together follows from their name.
  void Round() override {
    world_->cache().JudgeOld();
    const Bytes name = world_->cache().NameOf("m", world_->rng().Below(2));
    keys_.clear();
    const size_t n = 3 + Hash64(name) % 8;
    for (size_t i = 0; i < n; ++i) keys_.push_back(Format("%s-%zu", name.c_str(), i));
    const int64_t what = Between(0, 99);
    if (what < 45) return Read();
    if (what < 70) return Write();
    if (what < 85) return WriteTogether({});
    Watch();
  }

  void Done(Told told) {
    MayMove(&session(), told == Told::kAnswered ? 5 : 50);
    Next(told == Told::kAnswered ? 30'000 : 200'000);
  }

  std::vector<Ticket> IssueAll(const Op& op) {
    std::vector<Ticket> tickets;
    for (const Bytes& key : keys_) tickets.push_back(Issue(key, op));
    return tickets;
  }

  void Read() {
    Argv argv = {"MGET"};
    argv.insert(argv.end(), keys_.begin(), keys_.end());
    const std::vector<Ticket> tickets = IssueAll(Op());
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      if (world_->narrating()) Tell(argv, reply);
      const Told told = ToldBy(reply, sent);
      const bool answered = told == Told::kAnswered;
      CHECK_SIM(!answered || reply->items.size() == tickets.size(), "MGET of %zu keys gives %zu",
                tickets.size(), answered ? reply->items.size() : 0);
      if (answered) world_->cache().JudgeStamps(keys_, reply->items);
      for (size_t i = 0; i < tickets.size(); ++i) {
        Op op;
        Fill(answered ? &reply->items[i] : reply, sent, &op);
        world_->cache().OnReturn(tickets[i], op);
      }
      Done(told);
    });
    NoteNode(tickets);
  }

  void NoteNode(const std::vector<Ticket>& tickets) {
    for (const Ticket& ticket : tickets) world_->cache().OnNode(ticket, session().node());
  }

  void Conclude(const std::vector<Ticket>& tickets, Told told) {
    for (const Ticket& ticket : tickets) {
      Op op;
      op.told = told;
      world_->cache().OnReturn(ticket, op);
    }
    Done(told);
  }

  void Write() {
    Op op;
    op.kind = Kind::kWrite;
    op.value = NewValue();
    Argv argv = {"MSET"};
    for (const Bytes& key : keys_) argv.insert(argv.end(), {key, op.value});
    const std::vector<Ticket> tickets = IssueAll(op);
    session().Call(argv, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      if (world_->narrating()) Tell(argv, reply);
      Conclude(tickets, ToldBy(reply, sent));
    });
    NoteNode(tickets);
  }

  // Only if nobody has written the first since: what it held is known then.
  void Watch() {
    const ClientId socket = session().socket();
    is_watching_ = false;
    session().Call({"WATCH", keys_.front()}, kPatienceUs, [this](const Reply* reply, bool sent) {
      is_watching_ = ToldBy(reply, sent) == Told::kAnswered;
    });
    session().Call({"GET", keys_.front()}, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      const Told told = ToldBy(reply, sent);
      const bool same = socket.value == 0 || socket == session().socket();
      if (told != Told::kAnswered || !is_watching_ || !same) {
        session().HangUp();  // It may be watching.
        return Done(told);
      }
      Op first;
      first.kind = reply->is_nil() ? Kind::kSetIfAbsent : Kind::kCompareAndSet;
      if (!reply->is_nil()) first.expected = reply->text;
      first.number = 1;
      watched_on_ = session().socket();
      After(5'000, [this, first] { WriteTogether(first); });
    });
  }

  // MULTI, a SET for each, EXEC.
  void WriteTogether(std::optional<Op> watched) {
    if (watched && watched_on_ != session().socket()) return Done(Told::kRefused);
    Op op;
    op.kind = Kind::kWrite;
    op.value = NewValue();
    std::vector<Ticket> tickets;
    for (const Bytes& key : keys_) {
      Op one = op;
      if (watched && key == keys_.front()) {
        one = *watched;
        one.value = op.value;
      }
      tickets.push_back(Issue(key, one));
    }
    const auto ignore = [](const Reply*, bool) {};
    session().Call({"MULTI"}, kPatienceUs, ignore);
    for (const Bytes& key : keys_) session().Call({"SET", key, op.value}, kPatienceUs, ignore);
    const bool is_watched = watched.has_value();
    session().Call({"EXEC"}, kPatienceUs, [=, this](const Reply* reply, bool sent) {
      Told told = ToldBy(reply, sent);
      if (world_->narrating()) Tell({"EXEC of " + op.value, is_watched ? "watched" : ""}, reply);
      const bool aborted = told == Told::kAnswered && reply->is_nil();
      CHECK_SIM(!aborted || is_watched, "an EXEC that watches nothing is aborted");
      if (aborted) told = Told::kRefused;
      if (told == Told::kAnswered) {
        for (const Reply& one : reply->items) {
          CHECK_SIM(!one.is_error(), "a SET in an EXEC is answered: %s", one.text.c_str());
        }
      }
      if (is_watched && told != Told::kUnknown) {
        ++world_->counters()[aborted ? Count::kWatchesBroken : Count::kWatchesKept];
      }
      ConcludeTogether(tickets, told, is_watched);
    });
    NoteNode(tickets);
  }

  // Whoever watched knows of the first that it was as expected.
  void ConcludeTogether(const std::vector<Ticket>& tickets, Told told, bool is_watched) {
    for (size_t i = 0; i < tickets.size(); ++i) {
      Op op;
      op.told = told;
      if (i == 0 && is_watched && told == Told::kAnswered) op.number = 1;
      world_->cache().OnReturn(tickets[i], op);
    }
    Done(told);
  }

  std::vector<Bytes> keys_;
  bool is_watching_ = false;
  ClientId watched_on_;
};

}  // namespace

std::unique_ptr<Actor> MakeSeveralKeysUser(Work work, World* world, LockChecker* checker,
                                           uint32_t number) {
  if (work == Work::kLitmus) return std::make_unique<Litmus>(world, checker, number);
  if (work == Work::kMsets) return std::make_unique<Stamper>(world, checker, number);
  return nullptr;
}

}  // namespace lockstep::sim
