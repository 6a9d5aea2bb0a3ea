#include "tests/sim/key_judge.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "src/base/time.h"
#include "src/resp/parser.h"
#include "tests/sim/cache_model.h"
#include "tests/sim/failure.h"

namespace lockstep::sim {
namespace {

using Kind = CacheOperation::Kind;
using Told = CacheOperation::Told;
using Histories = std::map<Bytes, std::vector<CacheOperation>>;

// Whoever has a key may have it a lease longer than its time, on each way that it goes.
constexpr int64_t kTtlSlackUs = 8 * kUsPerSecond;
constexpr size_t kBeforeCommand = 5;  // Words.

template <class T>
T NumberOf(BytesView word) {
  int64_t value = 0;
  CHECK_SIM(ParseInt64(word, &value), "no number: %s", Bytes(word).c_str());
  return static_cast<T>(value);
}

// A line that is being read.
struct Line {
  std::vector<Bytes> words;
  CacheOperation base;  // What all that it stands for have in common.
  const Bytes& answer() const { return words[kBeforeCommand - 1]; }
  const Bytes& verb() const { return words[kBeforeCommand]; }
  size_t arguments() const { return words.size() - kBeforeCommand - 1; }
  const Bytes& argument(size_t i) const {
    CHECK_SIM(i < arguments(), "words are missing");
    return words[kBeforeCommand + 1 + i];
  }
  bool answered() const { return base.told == Told::kAnswered; }
};

Line ReadLine(BytesView text) {
  Line line;
  CHECK_SIM(resp::SplitLine(text, &line.words), "unbalanced quotes");
  CHECK_SIM(line.words.size() > kBeforeCommand + 1, "words are missing");
  CacheOperation& base = line.base;
  base.who = line.words[0] + "@n" + line.words[1];
  base.call_us = NumberOf<int64_t>(line.words[2]);
  const auto return_us = NumberOf<int64_t>(line.words[3]);
  CHECK_SIM(base.call_us <= return_us, "it returns before it is called");
  const char first = line.answer().empty() ? '?' : line.answer()[0];
  base.told = first == '?' ? Told::kUnknown : first == '-' ? Told::kRefused : Told::kAnswered;
  if (line.answered()) base.return_us = return_us;
  return line;
}

// "=text" or "nil".
std::optional<Bytes> ValueOf(const Bytes& answer) {
  if (answer == "nil") return std::nullopt;
  CHECK_SIM(answer.starts_with("=") || answer.starts_with(":"), "no value: %s", answer.c_str());
  return answer.substr(1);
}

CacheOperation Made(const Line& line, Kind kind) {
  CacheOperation operation = line.base;
  operation.kind = kind;
  return operation;
}

CacheOperation Look(const Line& line, Kind kind, const Bytes& answer) {
  CacheOperation operation = Made(line, kind);
  if (line.answered()) operation.seen = ValueOf(answer);
  return operation;
}

CacheOperation Count(const Line& line, Kind kind) {
  CacheOperation operation = Made(line, kind);
  operation.by = 1;
  if (line.answered()) operation.number = NumberOf<int64_t>(BytesView(line.answer()).substr(1));
  return operation;
}

CacheOperation Write(const Line& line, Kind kind, const Bytes& value) {
  CacheOperation operation = Made(line, kind);
  operation.value = value;
  return operation;
}

CacheOperation Set(const Line& line) {
  CacheOperation operation = Write(line, Kind::kWrite, line.argument(1));
  for (size_t i = 2; i < line.arguments(); ++i) {
    if (line.argument(i) == "NX") {
      operation.kind = Kind::kSetIfAbsent;
      if (line.answered()) operation.number = line.answer() == "nil" ? 0 : 1;
    } else {
      CHECK_SIM(line.argument(i) == "PX", "an option that cannot be judged");
      operation.ttl_us = NumberOf<int64_t>(line.argument(++i)) * kUsPerMs;
    }
  }
  return operation;
}

// CAS key new old
void AddCompareAndSet(const Line& line, Histories* histories) {
  if (line.answer() == ":0") return;  // It may have changed and become the same again.
  const Bytes& old = line.argument(2);
  CacheOperation operation =
      Write(line, old == "nil" ? Kind::kSetIfAbsent : Kind::kCompareAndSet, line.argument(1));
  operation.expected = old;
  if (line.answered()) operation.number = 1;
  (*histories)[line.argument(0)].push_back(operation);
}

void AddMany(const Line& line, Histories* histories) {
  if (line.verb() == "MSET") {
    for (size_t i = 0; i + 1 < line.arguments(); i += 2) {
      (*histories)[line.argument(i)].push_back(Write(line, Kind::kWrite, line.argument(i + 1)));
    }
    return;
  }
  if (!line.answered()) return;
  std::istringstream items(line.answer().substr(1, line.answer().size() - 2));  // [=a,nil]
  Bytes item;
  for (size_t i = 0; std::getline(items, item, ','); ++i) {
    (*histories)[line.argument(i)].push_back(Look(line, Kind::kRead, item));
  }
}

void AddLine(const Line& line, Histories* histories) {
  const Bytes& verb = line.verb();
  if (verb == "COPY") return;
  if (verb == "MSET" || verb == "MGET") return AddMany(line, histories);
  if (verb == "CAS") return AddCompareAndSet(line, histories);
  std::vector<CacheOperation>& history = (*histories)[line.argument(0)];
  if (verb == "GET") return history.push_back(Look(line, Kind::kRead, line.answer()));
  if (verb == "GETDEL") return history.push_back(Look(line, Kind::kTake, line.answer()));
  if (verb == "INCR") return history.push_back(Count(line, Kind::kAdd));
  if (verb == "DEL") return history.push_back(Count(line, Kind::kDelete));
  if (verb == "SET") return history.push_back(Set(line));
  CHECK_SIM(verb == "GETSET", "a command that cannot be judged: %s", verb.c_str());
  history.push_back(Look(line, Kind::kRead, line.answer()));
  history.push_back(Write(line, Kind::kWrite, line.argument(1)));
}

Histories Read(BytesView text) {
  Histories histories;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const BytesView line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with("#") || line.starts_with("nemesis ")) continue;
    try {
      AddLine(ReadLine(line), &histories);
    } catch (const Failure& failure) {
      throw Failure{Format("line %zu: ", number) + failure.what};
    }
  }
  return histories;
}

}  // namespace

KeyJudgement JudgeKeys(BytesView text) {
  KeyJudgement judgement;
  try {
    for (const auto& [key, history] : Read(text)) {
      ++judgement.keys;
      judgement.operations += history.size();
      const Verdict verdict = CheckCacheHistory(history, {.ttl_slack_us = kTtlSlackUs});
      judgement.too_hard += verdict.kind == Verdict::Kind::kTooHard;
      if (verdict.kind != Verdict::Kind::kIllegal) continue;
      judgement.legal = false;
      judgement.why += "key '" + key + "': " + verdict.why;
    }
  } catch (const Failure& failure) {
    judgement.legal = false;
    judgement.why = failure.what;
  }
  return judgement;
}

int JudgeKeysFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    std::fprintf(stderr, "cannot read %s\n", path);
    return 2;
  }
  const KeyJudgement judgement = JudgeKeys(text.str());
  std::printf("operations=%zu keys=%zu too_hard=%zu\n", judgement.operations, judgement.keys,
              judgement.too_hard);
  if (!judgement.legal) std::printf("illegal: %s\n", judgement.why.c_str());
  return judgement.legal ? 0 : 1;
}

}  // namespace lockstep::sim
