// Load of the cache's commands where redis-benchmark cannot make it: keys by Zipf's law, each key
// once, and many connections to several nodes that count together.
//
//     cache_load get|set|mset|incr port,port,... clients pipeline keys size each
//     cache_load get|set|mset|incr port,port,... clients pipeline keys size uniform|zipf seconds
//
// Client c is connected to the c-th port, round and round. There are so many `keys`, of 16 bytes
// each, and a value has `size` bytes. A GET must find its key. Tells the time of each command.
#include <cmath>
#include <deque>
#include <random>

#include "carry.h"

namespace {

constexpr size_t kKeysInMset = 10;  // As redis-benchmark has it.

// Which key is next, from a list that was drawn before: dice cost more than a request.
class Draw {
 public:
  explicit Draw(const std::vector<double>& weights) {
    constexpr size_t kDrawn = size_t{1} << 18;
    // Generators that run at once must not march in step over the same keys.
    std::mt19937_64 dice(static_cast<uint64_t>(getpid()));
    std::discrete_distribution<uint32_t> distribution(weights.begin(), weights.end());
    for (size_t i = 0; i < kDrawn; ++i) drawn_.push_back(distribution(dice));
  }

  size_t Next() { return drawn_[at_++ % drawn_.size()]; }

 private:
  std::vector<uint32_t> drawn_;
  size_t at_ = 0;
};

std::vector<double> Weights(const std::string& law, size_t keys) {
  constexpr double kZipfExponent = 0.99;  // YCSB's.
  if (law != "uniform" && law != "zipf") Fail("not a law: " + law);
  std::vector<double> weights;
  for (size_t rank = 1; rank <= keys; ++rank) {
    const double exponent = law == "zipf" ? kZipfExponent : 0;
    weights.push_back(std::pow(static_cast<double>(rank), -exponent));
  }
  return weights;
}

// How a command is put together, and what its answer must be.
class Work {
 public:
  Work(const std::string& name, size_t size) : name_(name), value_(size, 'x') {
    if (name != "get" && name != "set" && name != "mset" && name != "incr") {
      Fail("not a work: " + name);
    }
  }

  template <class NextKey>
  void Append(const NextKey& next_key, std::string* out) const {
    if (name_ == "get") {
      AppendCommand({"GET", Key("key", next_key())}, out);
    } else if (name_ == "set") {
      AppendCommand({"SET", Key("key", next_key()), value_}, out);
    } else if (name_ == "incr") {
      AppendCommand({"INCR", Key("num", next_key())}, out);
    } else {
      *out += '*' + std::to_string(1 + 2 * kKeysInMset) + "\r\n";
      AppendWords({"MSET"}, out);
      for (size_t i = 0; i < kKeysInMset; ++i) AppendWords({Key("key", next_key()), value_}, out);
    }
  }

  void Require(const redisReply& reply) const {
    if (name_ != "get") {
      RequireSuccess(reply);
    } else if (reply.type != REDIS_REPLY_STRING || reply.len != value_.size()) {
      Fail("not the value that was written: " + Text(reply));
    }
  }

 private:
  static std::string Key(const char* kind, size_t number) {
    char key[32];
    const int size = std::snprintf(key, sizeof key, "%s:%012zu", kind, number);
    return std::string(key, static_cast<size_t>(size));
  }

  std::string name_;
  std::string value_;
};

class Timed : public Plan {
 public:
  explicit Timed(const Work& work) : work_(work) {}

  void OnAnswer(Place* place, const redisReply& reply) override {
    work_.Require(reply);
    times.Add(MillisecondsSince(place->began));
  }

 protected:
  const Work& work() const { return work_; }

 private:
  const Work& work_;
};

class EachOnce final : public Timed {
 public:
  EachOnce(const Work& work, size_t keys) : Timed(work), keys_(keys) {}

  bool AppendNext(Place* place, std::string* out) override {
    if (next_ >= keys_) return false;
    place->began = Clock::now();
    work().Append([this] { return next_++ % keys_; }, out);
    return true;
  }

 private:
  size_t keys_;
  size_t next_ = 0;
};

class ForATime final : public Timed {
 public:
  ForATime(const Work& work, Draw* draw, double seconds)
      : Timed(work), draw_(draw), milliseconds_(seconds * 1000) {}

  bool AppendNext(Place* place, std::string* out) override {
    place->began = Clock::now();
    if (std::chrono::duration<double, std::milli>(place->began - began_).count() > milliseconds_) {
      return false;
    }
    work().Append([this] { return draw_->Next(); }, out);
    return true;
  }

 private:
  Draw* draw_;
  double milliseconds_;
  Clock::time_point began_ = Clock::now();
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> said(argv + 1, argv + argc);
  if (said.size() < 7 || said.size() != (said[6] == "each" ? 7 : 8)) {
    Fail("cache_load work ports clients pipeline keys size law: see the head of cache_load.cc");
  }
  const size_t keys = std::stoul(said[4]);
  const Work work(said[0], std::stoul(said[5]));
  std::deque<Client> clients = Connect(Ports(said[1]), std::stoul(said[2]), std::stoul(said[3]),
                                       [] { return std::make_unique<RedisReplies>(); });
  if (said[6] == "each") {
    EachOnce plan(work, keys);
    Carry(&plan, &clients);
  } else {
    Draw draw(Weights(said[6], keys));
    ForATime plan(work, &draw, std::stod(said[7]));
    Carry(&plan, &clients);
  }
  return 0;
}
