#include "tests/sim/judge.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "src/resp/parser.h"
#include "tests/sim/lock_checker.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

using Kind = LockCommand::Kind;

constexpr ClientId kNoSocket{};

struct Line {
  size_t number = 0;
  int64_t call_us = 0;
  int64_t return_us = 0;
  LockCommand command;
  LockAnswer answer;
  size_t ticket = 0;
};

// The words of a line, taken from left to right.
class Words {
 public:
  explicit Words(BytesView line) {
    CHECK_SIM(resp::SplitLine(line, &words_), "unbalanced quotes");
  }
  size_t left() const { return words_.size() - at_; }
  const Bytes& Next() {
    CHECK_SIM(left() > 0, "words are missing");
    return words_[at_++];
  }
  template <class T>
  T NextNumber() {
    const Bytes& word = Next();
    uint64_t value = 0;
    CHECK_SIM(ParseUint64(word, &value) && value < INT64_MAX, "no number: %s", word.c_str());
    return static_cast<T>(value);
  }

 private:
  std::vector<Bytes> words_;
  size_t at_ = 0;
};

void ReadOptions(Words* words, LockCommand* command) {
  while (words->left() > 0) {
    const Bytes& option = words->Next();
    if (option == "SHARED") {
      command->shared = true;
    } else if (option == "TTL") {
      command->ttl_ms = words->NextNumber<int64_t>();
    } else if (option == "BLOCK") {
      command->block_ms = words->NextNumber<int64_t>();
    } else if (option == "LIMIT") {
      command->limit = words->NextNumber<uint32_t>();
    } else if (option == "TOKEN") {
      command->token = words->NextNumber<uint64_t>();
    } else if (option == "OWNER" && command->kind == Kind::kRevoke) {
      command->owner = words->Next();
    } else if (option == "ALL" && command->kind == Kind::kRelease) {
      command->kind = Kind::kReleaseAll;
    } else if (option == "ALL" && command->kind == Kind::kRenew) {
      command->kind = Kind::kRenewAll;
    } else {
      throw Failure{"an option that cannot be judged: " + option};
    }
  }
}

LockCommand ReadCommand(Words* words) {
  static const std::map<Bytes, Kind> kKinds = {
      {"LOCK.ACQUIRE", Kind::kAcquire}, {"LOCK.MACQUIRE", Kind::kMultiAcquire},
      {"LOCK.RELEASE", Kind::kRelease}, {"LOCK.RENEW", Kind::kRenew},
      {"LOCK.CHECK", Kind::kCheck},     {"LOCK.INFO", Kind::kInfo},
      {"LOCK.REVOKE", Kind::kRevoke},
  };
  const Bytes& verb = words->Next();
  const auto known = kKinds.find(verb);
  CHECK_SIM(known != kKinds.end(), "a command that cannot be judged: %s", verb.c_str());
  LockCommand command;
  command.kind = known->second;
  const bool many = command.kind == Kind::kMultiAcquire;
  const auto names = many ? words->NextNumber<size_t>() : 1;
  for (size_t i = 0; i < names; ++i) command.names.push_back(words->Next());
  CHECK_SIM(names > 0, "no name");
  if (command.kind == Kind::kCheck) command.token = words->NextNumber<uint64_t>();
  const bool has_owner = command.kind != Kind::kCheck && command.kind != Kind::kInfo &&
                         command.kind != Kind::kRevoke;
  if (has_owner) command.owner = words->Next();
  ReadOptions(words, &command);
  return command;
}

// {ann:shared:81,bob:shared:82}0
LockAnswer ReadHolders(const Bytes& text) {
  LockAnswer answer;
  answer.kind = LockAnswer::Kind::kHolders;
  const size_t end = text.find('}');
  uint64_t waiters = 0;
  CHECK_SIM(end != Bytes::npos && ParseUint64(BytesView(text).substr(end + 1), &waiters),
            "no holders: %s", text.c_str());
  answer.waiters = waiters;
  std::istringstream rows(text.substr(1, end - 1));
  Bytes owner;
  Bytes mode;
  Bytes token;
  while (std::getline(rows, owner, ':')) {
    Operation::Holder holder;
    std::getline(rows, mode, ':');
    std::getline(rows, token, ',');
    holder.owner = owner;
    holder.shared = mode == "shared";
    CHECK_SIM((holder.shared || mode == "exclusive") && ParseUint64(token, &holder.token),
              "no holder: %s", text.c_str());
    answer.holders.push_back(std::move(holder));
  }
  std::sort(answer.holders.begin(), answer.holders.end(),
            [](const auto& a, const auto& b) { return a.owner < b.owner; });
  return answer;
}

LockAnswer ReadAnswer(const LockCommand& command, const Bytes& text) {
  if (text.starts_with("{") && command.kind == Kind::kInfo) return ReadHolders(text);
  CHECK_SIM(command.kind != Kind::kInfo || text.starts_with("-") || text == "?",
            "no answer to LOCK.INFO: %s", text.c_str());
  if (text == "?") return Interpret(command, nullptr, true);
  Reply reply = Reply::Nil();
  if (text.starts_with("-")) {
    reply = Reply::Error(BytesView(text).substr(1), "");
  } else if (text != "nil") {
    int64_t number = 0;
    CHECK_SIM(text.starts_with(":") && ParseInt64(BytesView(text).substr(1), &number),
              "no answer: %s", text.c_str());
    reply = Reply::Integer(number);
  }
  return Interpret(command, &reply, true);
}

Line ReadLine(size_t number, BytesView text) {
  Words words(text);
  words.Next();  // The client and
  words.Next();  // the node are for the reader.
  Line line;
  line.number = number;
  line.call_us = words.NextNumber<int64_t>();
  line.return_us = words.NextNumber<int64_t>();
  CHECK_SIM(line.call_us <= line.return_us, "it returns before it is called");
  const Bytes answer = words.Next();
  line.command = ReadCommand(&words);
  line.answer = ReadAnswer(line.command, answer);
  return line;
}

// A world whose clocks are right: else leases would be given the benefit of their error.
uint64_t SeedOfRightClocks() {
  uint64_t seed = 1;
  while (Swarm(seed).clock_ppm_max != 0) ++seed;
  return seed;
}

class Playback {
 public:
  // A failure names the line at which it came to light.
  void Play(BytesView history, Judgement* judgement) {
    Read(history);
    judgement->operations = lines_.size();
    int64_t end_us = 0;
    for (Line& line : lines_) end_us = std::max(end_us, line.return_us);
    // At one instant calls come first: more can overlap, so less is refused.
    for (Line& line : lines_) {
      world_.events().After(line.call_us, [this, &line] {
        at_ = line.number;
        line.ticket = checker_.Issue(line.command);
        world_.events().After(line.return_us - line.call_us, [this, &line] {
          at_ = line.number;
          checker_.Conclude(line.ticket, line.answer, kNoSocket);
        });
      });
    }
    world_.events().RunUntil(end_us);
    at_ = 0;
    checker_.Check();
  }

  size_t at() const { return at_; }
  const Counters& counters() { return world_.counters(); }

 private:
  void Read(BytesView history) {
    while (!history.empty()) {
      ++at_;
      const size_t end = std::min(history.find('\n'), history.size());
      const BytesView text = history.substr(0, end);
      history.remove_prefix(std::min(end + 1, history.size()));
      if (!text.empty() && !text.starts_with("#")) lines_.push_back(ReadLine(at_, text));
    }
  }

  World world_{SeedOfRightClocks(), false};
  LockChecker checker_{&world_};
  std::vector<Line> lines_;
  size_t at_ = 0;  // 0: no line.
};

}  // namespace

Judgement Judge(BytesView history) {
  Judgement judgement;
  Playback playback;
  try {
    playback.Play(history, &judgement);
  } catch (const Failure& failure) {
    judgement.legal = false;
    judgement.why = failure.what;
    if (playback.at() > 0) judgement.why = Format("line %zu: ", playback.at()) + judgement.why;
  }
  const Counters& counters = playback.counters();
  judgement.grants = counters[Count::kGrants];
  judgement.unknown = counters[Count::kUnknown];
  judgement.checked = counters[Count::kHistoriesChecked];
  judgement.contended = counters[Count::kHistoriesContended];
  judgement.too_hard = counters[Count::kHistoriesTooHard];
  return judgement;
}

int JudgeFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    std::fprintf(stderr, "cannot read %s\n", path);
    return 2;
  }
  const Judgement judgement = Judge(text.str());
  std::printf("operations=%zu grants=%" PRIu64 " unknown=%" PRIu64 " checked=%" PRIu64
              " contended=%" PRIu64 " too_hard=%" PRIu64 "\n",
              judgement.operations, judgement.grants, judgement.unknown, judgement.checked,
              judgement.contended, judgement.too_hard);
  if (!judgement.legal) std::printf("illegal: %s\n", judgement.why.c_str());
  return judgement.legal ? 0 : 1;
}

}  // namespace lockstep::sim
