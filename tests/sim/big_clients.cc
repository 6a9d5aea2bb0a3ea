// Clients that bring much at once: entries so large that the leader's log is full, answers of many
// pages, and pipelines of many commands whose bytes arrive cut up anyhow.
#include "tests/sim/actor.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

using Kind = LockCommand::Kind;

constexpr size_t kMetaBytes = 4096;  // The most that a META may have.
constexpr int64_t kLoad = 100;       // Locks in one transaction.

// Transactions of some 400 kB. Three who do that have more under way than raft-uncommitted-bytes at
// its least.
class Hauler final : public Actor {
 public:
  Hauler(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("hauler%u", number)) {}

 private:
  void Round() override {
    left_ = Between(1, 2);
    for (int64_t batch = left_; batch > 0; --batch) {
      DoTogether(Load(batch), [this](const std::vector<LockAnswer>&) {
        if (--left_ > 0) return;
        if (Chance(70)) return Next(300'000);
        Look();
      });
    }
  }

  Bytes Name(int64_t i) const { return Format("%s-%ld", owner().c_str(), i); }

  std::vector<LockCommand> Load(int64_t batch) {
    std::vector<LockCommand> commands;
    const int64_t ttl_ms = Between(500, 3000);
    for (int64_t i = 0; i < kLoad; ++i) {
      LockCommand command = Acquire(Name(batch * kLoad + i));
      command.ttl_ms = ttl_ms;
      command.meta_bytes = kMetaBytes;
      commands.push_back(command);
    }
    return commands;
  }

  // All of a batch in one answer: as large as what was sent.
  void Look() {
    std::vector<LockCommand> commands;
    for (int64_t i = kLoad; i < 2 * kLoad; ++i) {
      commands.push_back(About(Kind::kInfo, Name(i)));
    }
    DoTogether(commands, [this](const std::vector<LockAnswer>&) {
      if (Chance(50)) return Next(300'000);  // The rest is left to time.
      Do(About(Kind::kReleaseAll, Name(kLoad)), [this](const LockAnswer&) { Next(50'000); });
    });
  }

  int64_t left_ = 0;
};

// Reads all locks page by page, and what there is to be asked in one transaction.
class Browser final : public Actor {
 public:
  Browser(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("browser%u", number)) {}

 private:
  void Round() override {
    if (Chance(40)) return AskTogether();
    must_meet_ = checker_->kept();
    met_.clear();
    page_ = Chance(30) ? 7 : Chance(50) ? 50 : 1000;
    Scan("0");
  }

  void Scan(const Bytes& cursor) {
    session().Call({"LOCK.LIST", "CURSOR", cursor, "COUNT", std::to_string(page_)}, 8'000'000,
                   [this](const Reply* reply, bool) {
                     if (reply == nullptr || reply->is_error()) return Next(100'000);
                     OnPage(*reply);
                   });
  }

  void OnPage(const Reply& page) {
    CHECK_SIM(page.items.size() == 2, "LOCK.LIST answers no cursor and names");
    for (const Reply& name : page.items[1].items) {
      CHECK_SIM(checker_->Knows(name.text), "LOCK.LIST shows '%s', which nobody ever asked for",
                Printable(name.text).c_str());
      const bool again = !met_.insert(name.text).second;
      CHECK_SIM(!again || !must_meet_.contains(name.text), "a scan meets '%s' twice",
                name.text.c_str());
    }
    const Bytes& cursor = page.items[0].text;
    if (cursor != "0") return Scan(cursor);
    for (const Bytes& name : must_meet_) {
      CHECK_SIM(met_.contains(name), "a scan does not meet '%s', which was there all the time",
                name.c_str());
    }
    ++world_->counters()[Count::kScans];
    Next(200'000);
  }

  void AskTogether() {
    std::vector<std::vector<Bytes>> questions = {
        {"LOCK.LIST", "COUNT", "1000"}, {"LOCK.OWNER", "keeper0"}, {"LOCK.GRAPH"},
        {"LOCK.DEADLOCKS"},             {"ECHO", "all of it"},     {"LOCK.LIST", "MATCH", "k*"},
    };
    for (const Bytes& name : checker_->names()) {
      if (questions.size() < 60) questions.push_back({"LOCK.INFO", name});
    }
    session().Call({"MULTI"}, 8'000'000, [](const Reply*, bool) {});
    for (const auto& question : questions) {
      session().Call(question, 8'000'000, [](const Reply*, bool) {});
    }
    session().Call({"EXEC"}, 8'000'000, [this, n = questions.size()](const Reply* reply, bool) {
      if (reply == nullptr || reply->is_error()) return Next(200'000);
      CHECK_SIM(reply->items.size() == n, "EXEC answers %zu of %zu", reply->items.size(), n);
      CHECK_SIM(reply->items[4].text == "all of it", "EXEC mixes up its answers");
      for (const Reply& answer : reply->items) {
        CHECK_SIM(!answer.is_error(), "a question in EXEC: %s", answer.text.c_str());
      }
      Next(200'000);
    });
  }

  std::set<Bytes> must_meet_;
  std::set<Bytes> met_;
  int64_t page_ = 0;
};

// Sends many commands as one stream, in pieces that end anywhere. What it says must come back as it
// was said, between answers about locks: whoever mixes up buffers mixes up these.
class Pipeliner final : public Actor {
 public:
  Pipeliner(World* world, LockChecker* checker, uint32_t number)
      : Actor(world, checker, Format("pipeliner%u", number)) {
    hang_up_percent_ = 1;
  }

 private:
  struct Trio {
    int64_t sent_us = 0;
    uint64_t token = 0;
  };

  void Round() override {
    const bool large = Chance(5);
    session().SendInPieces(static_cast<size_t>(large ? Between(1000, 50'000) : Between(1, 200)));
    left_ = 1;
    const int64_t n = Between(3, 20);
    const int64_t contends_at = Between(0, 30);  // Once at most, or nobody could check it any more.
    for (int64_t i = 0; i < n; ++i) {
      if (i == contends_at) Contend();
      if (Chance(75)) {
        Echo(large && Chance(30));
      } else {
        TakeLookRelease(i);
      }
    }
    Done();
  }

  void Done() {
    if (--left_ == 0) Next(50'000);
  }

  void Echo(bool large) {
    const int64_t most = large ? (Chance(10) ? 1'500'000 : 70'000) : Chance(80) ? 40 : 3000;
    Bytes said(static_cast<size_t>(Between(0, most)), '\0');
    auto salt = static_cast<uint64_t>(Between(0, 255));
    for (char& c : said) c = static_cast<char>(salt = salt * 1103515245 + 12345);
    ++left_;
    session().Call({"ECHO", said}, 15'000'000, [this, said](const Reply* reply, bool) {
      if (reply != nullptr) {
        CHECK_SIM(reply->kind == Reply::Kind::kBulk && reply->text == said,
                  "ECHO of %zu bytes gives %zu others: %s", said.size(), reply->text.size(),
                  Printable(reply->text.substr(0, 100)).c_str());
        ++world_->counters()[Count::kEchoes];
      }
      Done();
    });
  }

  // Some of these wait, and all that stands behind them in the stream with them.
  void Contend() {
    LockCommand command = About(Chance(50) ? Kind::kRelease : Kind::kInfo, "pipe");
    if (Chance(50)) {
      command = Acquire("pipe");
      command.ttl_ms = Between(100, 2000);
      command.meta_bytes = static_cast<size_t>(Between(0, 200));
      if (Chance(50)) command.block_ms = Between(20, 200);
    }
    ++left_;
    Do(command, [this](const LockAnswer&) { Done(); });
  }

  // A lock that nobody else wants: what comes behind the acquire sees it.
  void TakeLookRelease(int64_t i) {
    const Bytes name = Format("%s-%u-%ld", owner().c_str(), life_, i);
    auto trio = std::make_shared<Trio>();
    trio->sent_us = world_->now_us();
    left_ += 3;
    LockCommand take = Acquire(name);
    take.ttl_ms = 10'000;
    take.meta_bytes = static_cast<size_t>(Between(0, 500));
    Do(take, [this, trio](const LockAnswer& answer) {
      trio->token = answer.number;
      if (answer.unknown()) ++life_;  // It may take effect when it will.
      Done();
    });
    Do(About(Kind::kInfo, name), [this, trio, name](const LockAnswer& answer) {
      const bool seen = answer.kind == LockAnswer::Kind::kHolders && trio->token != 0;
      if (seen && world_->now_us() - trio->sent_us < 5 * kUsPerSecond) {
        CHECK_SIM(answer.holders.size() == 1 && answer.holders[0].owner == owner() &&
                      answer.holders[0].token == trio->token,
                  "'%s' was taken with token %lu, and the next command does not see it",
                  name.c_str(), trio->token);
        ++world_->counters()[Count::kPipelinesInOrder];
      }
      Done();
    });
    Do(About(Kind::kRelease, name), [this](const LockAnswer& answer) {
      if (answer.unknown()) ++life_;
      Done();
    });
  }

  int64_t left_ = 0;
  uint32_t life_ = 0;  // Of the lock that is its own; the next begins when anything is left open.
};

}  // namespace

std::unique_ptr<Actor> MakeBigClient(Work work, World* world, LockChecker* checker,
                                     uint32_t number) {
  switch (work) {
    case Work::kHauls: return std::make_unique<Hauler>(world, checker, number);
    case Work::kPages: return std::make_unique<Browser>(world, checker, number);
    case Work::kPipelines: return std::make_unique<Pipeliner>(world, checker, number);
    default: return nullptr;
  }
}

}  // namespace lockstep::sim
