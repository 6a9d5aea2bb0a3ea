#include "commands/cache_tasks.h"

#include <algorithm>
#include <set>
#include <utility>

#include "src/base/bytes.h"
#include "src/base/check.h"
#include "src/base/hash.h"

namespace lockstep {
namespace {

// A group keeps a question for 20 ms before it says so (Group::Options::ask_cache).
constexpr int kAgainMax = 250;

Reply TooLate() {
  return Reply::Error("CLUSTERDOWN", "the home of some keys could not be reached in time; nothing "
                                     "was changed; see CLUSTER STATUS");
}
Reply NoAnswer() {
  return Reply::Error("ERR", "the leader answered something else than was asked");
}
Reply TooMany() {
  return Reply::Error("LIMIT", "more keys match than fit into one answer; use SCAN");
}

// Walks over tables, each from page to page. One shard is one walk, with its number in the order in
// which they were begun.
class Walks : public Task {
 public:
  std::optional<Reply> OnReply(size_t part, Reply reply, Next* next) final {
    const size_t number = walk_of_.at(part);
    Walk& walk = walks_[number];
    if (reply.is_error()) return Failed(reply);
    std::optional<CachePage> page = DecodeCachePage(std::move(reply));
    if (!page) return Failed(NoAnswer());
    if (page->home_tag != walk.query.home_tag) {
      // The home has taken it so. Dice are as good for any.
      if (walk.query.kind != CacheQuery::Kind::kRandom) walk.query.cursor = 0;
      Restarted(number);
    }
    walk.query.home_tag = page->home_tag;
    walk.query.since = page->since;
    if (!page->again) {
      walk.again = 0;
      return Took(number, std::move(*page), next);
    }
    if (++walk.again > kAgainMax) return Failed(TooLate());
    Ask(number, next);
    return std::nullopt;
  }

 protected:
  size_t Start(uint64_t shard, CacheQuery query, Next* next) {
    walks_.push_back({shard, std::move(query)});
    Ask(walks_.size() - 1, next);
    return walks_.size() - 1;
  }
  void GoOn(size_t number, uint64_t cursor, Next* next) {
    walks_[number].query.cursor = cursor;
    Ask(number, next);
  }
  uint64_t ShardOfWalk(size_t number) const { return walks_[number].shard; }
  size_t walks() const { return walks_.size(); }

  virtual std::optional<Reply> Took(size_t number, CachePage page, Next* next) = 0;
  // What it has given so far is another home's, and counts no more.
  virtual void Restarted(size_t /*number*/) {}
  virtual Reply Failed(Reply error) { return error; }

 private:
  struct Walk {
    uint64_t shard = 0;
    CacheQuery query;
    int again = 0;  // In a row.
  };
  void Ask(size_t number, Next* next) {
    const Walk& walk = walks_[number];
    walk_of_.push_back(number);
    next->ask.push_back({.group = ShardGroup(walk.shard), .read = true, .op = walk.query.Encode()});
  }

  std::vector<Walk> walks_;
  std::vector<size_t> walk_of_;  // By part.
};

// All of some shards, at once, to the end.
class WholeTask : public Walks {
 public:
  WholeTask(uint64_t first, uint64_t shards, CacheQuery query)
      : first_(first), shards_(shards), query_(std::move(query)) {}
  std::optional<Reply> Begin(Next* next) final {
    open_ = shards_;
    for (uint64_t i = 0; i < shards_; ++i) (void)Start(first_ + i, query_, next);
    return std::nullopt;
  }

 protected:
  std::optional<Reply> Took(size_t number, CachePage page, Next* next) final {
    if (std::optional<Reply> done = Add(number, std::move(page.body))) return done;
    if (page.next != 0) {
      GoOn(number, page.next, next);
      return std::nullopt;
    }
    if (--open_ > 0) return std::nullopt;
    return Made();
  }
  // An answer: it is enough.
  virtual std::optional<Reply> Add(size_t number, Reply body) = 0;
  virtual Reply Made() = 0;
  uint64_t shards() const { return shards_; }

 private:
  uint64_t first_, shards_;
  CacheQuery query_;
  uint64_t open_ = 0;
};

class CountTask final : public WholeTask {
 public:
  CountTask(uint64_t first, uint64_t shards, CacheQuery query)
      : WholeTask(first, shards, std::move(query)), counts_(shards) {}

 private:
  std::optional<Reply> Add(size_t number, Reply body) override {
    counts_[number] += body.integer;
    return std::nullopt;
  }
  void Restarted(size_t number) override { counts_[number] = 0; }
  Reply Made() override {
    int64_t sum = 0;
    for (const int64_t count : counts_) sum += count;
    return Reply::Integer(sum);
  }
  std::vector<int64_t> counts_;
};

// Each name once, whatever pages it was in.
class NamesTask final : public WholeTask {
 public:
  NamesTask(uint64_t first, uint64_t shards, CacheQuery query, uint64_t enough)
      : WholeTask(first, shards, std::move(query)), names_(shards), enough_(enough) {}

 private:
  std::optional<Reply> Add(size_t number, Reply body) override {
    for (Reply& name : body.items) {
      const size_t bytes = kReplyItemCost + name.text.size();
      if (enough_ > 0 && names_[number].insert(std::move(name.text)).second) {
        --enough_;
        bytes_ += bytes;
      }
    }
    if (bytes_ > kReplyCostMax) return TooMany();
    if (enough_ == 0) return Made();
    return std::nullopt;
  }
  void Restarted(size_t number) override {
    for (const Bytes& name : names_[number]) bytes_ -= kReplyItemCost + name.size();
    enough_ += names_[number].size();
    names_[number].clear();
  }
  Reply Made() override {
    Reply all = Reply::Array();
    for (std::set<Bytes>& names : names_) {
      while (!names.empty()) {
        all.Add(Reply::Bulk(std::move(names.extract(names.begin()).value())));
      }
    }
    return all;
  }
  std::vector<std::set<Bytes>> names_;
  uint64_t enough_;
  size_t bytes_ = 0;
};

class FlushTask final : public WholeTask {
 public:
  FlushTask(uint64_t shards, CacheQuery query) : WholeTask(0, shards, std::move(query)) {}

 private:
  std::optional<Reply> Add(size_t, Reply) override { return std::nullopt; }
  Reply Made() override { return Reply::Ok(); }
  Reply Failed(Reply error) override {
    return Reply::Error("UNCERTAIN", "some keys are gone, others may be there still, since: " +
                                         error.text);
  }
};

// First one shard, which mostly has keys; then all others.
class RandomKeyTask final : public Walks {
 public:
  RandomKeyTask(uint64_t shards, uint64_t dice, uint64_t more_dice)
      : shards_(shards), dice_(dice), more_dice_(more_dice) {}
  std::optional<Reply> Begin(Next* next) override {
    StartOne(dice_ % shards_, next);
    return std::nullopt;
  }

 private:
  std::optional<Reply> Took(size_t number, CachePage page, Next* next) override {
    if (number == 0 && (!page.body.is_nil() || shards_ == 1)) return std::move(page.body);
    if (number == 0) {
      open_ = shards_ - 1;
      for (uint64_t i = 1; i < shards_; ++i) StartOne((dice_ + i) % shards_, next);
      return std::nullopt;
    }
    // A key of the shard that this number falls into, if the shards stand side by side.
    if (!page.body.is_nil()) found_.push_back({std::max<uint64_t>(1, page.lines),
                                               std::move(page.body)});
    if (--open_ > 0) return std::nullopt;
    uint64_t all = 0;
    for (const auto& [keys, name] : found_) all += keys;
    uint64_t at = all == 0 ? 0 : more_dice_ % all;
    for (auto& [keys, name] : found_) {
      if (at < keys) return std::move(name);
      at -= keys;
    }
    return Reply::Nil();
  }
  void StartOne(uint64_t shard, Next* next) {
    CacheQuery query{.kind = CacheQuery::Kind::kRandom};
    query.cursor = more_dice_ >> (64 - kCacheCursorBits);
    query.count = static_cast<uint32_t>(dice_ >> 32);
    (void)Start(shard, query, next);
  }

  uint64_t shards_, dice_, more_dice_;
  uint64_t open_ = 0;
  std::vector<std::pair<uint64_t, Reply>> found_;
};

// One page of one shard; while that is not enough, of more shards at once: most of many have few
// keys. Of pages that were asked for at once those behind the first unfinished shard are left.
class ScanTask final : public Walks {
 public:
  ScanTask(uint64_t shards, ScanPlace from, uint32_t count, Bytes pattern)
      : shards_(shards), from_(from), count_(count), pattern_(std::move(pattern)) {}
  std::optional<Reply> Begin(Next* next) override {
    if (from_.shard >= shards_) return Answer(0);
    shard_ = from_.shard;
    Round(1, next);
    return std::nullopt;
  }

 private:
  struct Page {
    uint64_t shard = 0;
    CachePage page;
  };

  void Round(uint64_t width, Next* next) {
    first_ = walks();
    const uint64_t end = std::min(shards_, shard_ + width);
    pages_.assign(end - shard_, {});
    open_ = pages_.size();
    for (uint64_t shard = shard_; shard < end; ++shard) {
      CacheQuery query{.kind = CacheQuery::Kind::kNames, .name = pattern_};
      query.count = static_cast<uint32_t>(count_ - std::min<uint64_t>(lines_, count_ - 1));
      if (shard == from_.shard) {
        query.cursor = from_.cursor;
        query.home_tag = from_.home_tag;
      }
      (void)Start(shard, std::move(query), next);
    }
    shard_ = end;
  }
  std::optional<Reply> Took(size_t number, CachePage page, Next* next) override {
    pages_[number - first_] = {ShardOfWalk(number), std::move(page)};
    if (--open_ > 0) return std::nullopt;
    for (Page& one : pages_) {
      lines_ += one.page.lines;
      for (Reply& name : one.page.body.items) names_.Add(std::move(name));
      if (one.page.next != 0) {
        return Answer(PackScanPlace({one.shard, one.page.home_tag, one.page.next}));
      }
      if (lines_ >= count_) return AnswerBehind(one.shard);
    }
    if (shard_ == shards_) return Answer(0);
    Round(2 * pages_.size(), next);
    return std::nullopt;
  }
  Reply AnswerBehind(uint64_t shard) {
    return Answer(shard + 1 == shards_ ? 0 : PackScanPlace({.shard = shard + 1}));
  }
  Reply Answer(uint64_t cursor) {
    return Reply::Array({Reply::Bulk(std::to_string(cursor)), std::move(names_)});
  }

  uint64_t shards_;
  ScanPlace from_;
  uint64_t count_;
  Bytes pattern_;
  uint64_t shard_ = 0;   // That is next.
  size_t first_ = 0;     // Walk of this round.
  std::vector<Page> pages_;
  size_t open_ = 0;
  uint64_t lines_ = 0;
  Reply names_ = Reply::Array();
};

class LineTask final : public Walks {
 public:
  LineTask(uint64_t shard, Bytes key, Reply here)
      : shard_(shard), key_(std::move(key)), map_(std::move(here)) {}
  std::optional<Reply> Begin(Next* next) override {
    (void)Start(shard_, {.kind = CacheQuery::Kind::kLine, .name = key_}, next);
    return std::nullopt;
  }

 private:
  std::optional<Reply> Took(size_t, CachePage page, Next*) override {
    for (Reply& item : page.body.items) map_.items.push_back(std::move(item));
    return std::move(map_);
  }
  uint64_t shard_;
  Bytes key_;
  Reply map_;
};

}  // namespace

Action OutsideExec(const Context& ctx, std::unique_ptr<Task> task) {
  if (!ctx.in_exec) return task;
  return Reply::Error("ERR", "this command is about keys wherever they are, and can be no part of "
                             "a transaction; it did not happen");
}

std::unique_ptr<Task> MakeDbsizeTask(uint64_t shards) {
  return std::make_unique<CountTask>(0, shards, CacheQuery{.kind = CacheQuery::Kind::kCount});
}

std::unique_ptr<Task> MakeKeysTask(uint64_t shards, Bytes pattern) {
  return std::make_unique<NamesTask>(0, shards, CacheQuery{.name = std::move(pattern)},
                                     UINT64_MAX);
}

std::unique_ptr<Task> MakeFlushTask(uint64_t shards) {
  return std::make_unique<FlushTask>(shards, CacheQuery{.kind = CacheQuery::Kind::kFlush});
}

std::unique_ptr<Task> MakeFlushPrefixTask(uint64_t shards, Bytes prefix) {
  return std::make_unique<FlushTask>(
      shards, CacheQuery{.kind = CacheQuery::Kind::kFlushPrefix, .name = std::move(prefix)});
}

std::unique_ptr<Task> MakeRandomKeyTask(uint64_t shards, uint64_t dice, uint64_t more_dice) {
  return std::make_unique<RandomKeyTask>(shards, dice, more_dice);
}

std::unique_ptr<Task> MakeScanTask(uint64_t shards, ScanPlace from, uint32_t count, Bytes pattern) {
  CHECK(count > 0);
  return std::make_unique<ScanTask>(shards, from, count, std::move(pattern));
}

std::unique_ptr<Task> MakeSlotCountTask(uint64_t shards, uint16_t slot) {
  return std::make_unique<CountTask>(ShardOfSlot(slot, shards), 1,
                                     CacheQuery{.kind = CacheQuery::Kind::kCount, .slot = slot});
}

std::unique_ptr<Task> MakeSlotKeysTask(uint64_t shards, uint16_t slot, uint64_t count) {
  return std::make_unique<NamesTask>(ShardOfSlot(slot, shards), 1, CacheQuery{.slot = slot}, count);
}

std::unique_ptr<Task> MakeLineTask(uint64_t shards, Bytes key, Reply here) {
  const uint64_t shard = ShardOfSlot(SlotOf(key), shards);
  return std::make_unique<LineTask>(shard, std::move(key), std::move(here));
}

}  // namespace lockstep
