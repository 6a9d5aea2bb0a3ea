// Keys in memory, on a clock that stands still until a test moves it. It holds to what a command's
// row promises: a key that its specs do not name is not there to be touched, nor one that they
// only read to be written.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "commands/command_keys.h"
#include "commands/keys.h"
#include "src/base/check.h"
#include "src/resp/parser.h"
#include "tests/fake_host.h"

namespace lockstep {

class FakeKeys final : public Keys {
 public:
  int64_t now_us = 0;
  char state = 'M';

  // What the next command names.
  void Hold(const CommandSpec& leaf, std::span<const BytesView> argv) {
    held_.clear();
    const auto named = KeysOf(leaf, argv);
    CHECK(named.has_value());
    for (const KeyAt& key : *named) {
      const bool writes = key.spec->access != KeySpec::Access::kRO;
      held_[Bytes(argv[key.position])] |= writes;
    }
  }

  std::optional<Value> Find(BytesView key) override {
    CHECK(held_.contains(Bytes(key)));
    const auto at = LivingAt(key);
    if (at == lines_.end()) return std::nullopt;
    std::optional<int64_t> ttl_us;
    if (at->second.end_us) ttl_us = *at->second.end_us - now_us;
    return Value{at->second.bytes, ttl_us, at->second.version};
  }
  mesi::Version VersionOf(BytesView key) override {
    const std::optional<Value> value = Find(key);
    return value ? value->version : mesi::Version{};
  }
  void Put(BytesView key, BytesView value, Expiry expiry) override {
    CheckWritten(key);
    const auto at = LivingAt(key);
    CHECK(at == lines_.end() || !Overlap(at->second.bytes, value));
    Line line{Bytes(value), std::nullopt, NextVersion()};
    if (expiry.kind != Expiry::Kind::kKeep) {
      line.end_us = EndOf(expiry);
    } else if (at != lines_.end()) {
      line.end_us = at->second.end_us;
    }
    lines_[Bytes(key)] = std::move(line);
  }
  void Expire(BytesView key, Expiry expiry) override {
    CheckWritten(key);
    CHECK(expiry.kind != Expiry::Kind::kKeep);
    const auto at = LivingAt(key);
    CHECK(at != lines_.end());
    at->second.end_us = EndOf(expiry);
    at->second.version = NextVersion();
  }
  bool Erase(BytesView key) override {
    CheckWritten(key);
    const auto at = LivingAt(key);
    if (at == lines_.end()) return false;
    lines_.erase(at);
    return true;
  }
  char StateOf(BytesView) const override { return state; }

 private:
  struct Line {
    Bytes bytes;
    std::optional<int64_t> end_us;
    mesi::Version version;
  };
  using Lines = std::map<Bytes, Line>;

  // One that is past goes when it is looked for.
  Lines::iterator LivingAt(BytesView key) {
    const auto at = lines_.find(Bytes(key));
    if (at == lines_.end() || !at->second.end_us || *at->second.end_us > now_us) return at;
    lines_.erase(at);
    return lines_.end();
  }
  std::optional<int64_t> EndOf(Expiry expiry) const {
    if (expiry.kind == Expiry::Kind::kNone) return std::nullopt;
    CHECK(expiry.us > 0);
    return now_us + expiry.us;
  }
  static bool Overlap(BytesView a, BytesView b) {
    const std::less<const char*> before;
    return before(a.data(), b.data() + b.size()) && before(b.data(), a.data() + a.size());
  }
  void CheckWritten(BytesView key) const {
    const auto at = held_.find(Bytes(key));
    CHECK(at != held_.end() && at->second);
  }
  mesi::Version NextVersion() { return {3, 7, ++writes_}; }

  std::map<Bytes, bool> held_;  // To "may be written".
  Lines lines_;
  uint64_t writes_ = 0;
};

// A host of one with keys: runs commands on keys as the dispatcher does, on one clock.
class KeysHost {
 public:
  FakeHost host;
  FakeKeys keys;
  Client& client = host.Connect(1);

  Reply Run(const std::vector<Bytes>& words, bool in_exec = false) {
    const std::vector<BytesView> argv(words.begin(), words.end());
    const FoundCommand found = CommandTable::Get().Find(argv);
    if (auto refused = RefuseBeforeRun(found, argv)) return *refused;
    CHECK(found.leaf().on_keys);
    keys.Hold(found.leaf(), argv);
    return host.Run(client, words, in_exec, &keys);
  }
  // The same of a line as redis-cli takes it, and the reply in a few letters: OK, :1, "bulk", nil,
  // -ERR ..., [items].
  Bytes Say(const Bytes& line) {
    resp::Parser parser;
    parser.Append(line + "\r\n");
    CHECK(parser.Next() == resp::ParseStatus::kCommand);
    return Shown(Run({parser.args().begin(), parser.args().end()}));
  }
  static Bytes Shown(const Reply& reply) {
    switch (reply.kind) {
      case Reply::Kind::kNil:
        return "nil";
      case Reply::Kind::kSimple:
        return reply.text;
      case Reply::Kind::kError:
        return "-" + reply.text;
      case Reply::Kind::kInteger:
        return ":" + std::to_string(reply.integer);
      case Reply::Kind::kBulk:
        return '"' + Printable(reply.text, reply.text.size()) + '"';
      default:
        break;
    }
    Bytes items;
    for (const Reply& item : reply.items) items += (items.empty() ? "" : " ") + Shown(item);
    return (reply.kind == Reply::Kind::kMap ? "{" : "[") + items +
           (reply.kind == Reply::Kind::kMap ? "}" : "]");
  }
  void Advance(int64_t us) {
    keys.now_us += us;
    host.wall_us += us;
    host.now = host.now + us;
  }
};

}  // namespace lockstep
