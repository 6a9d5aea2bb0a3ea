#include "tests/sim/lock_command.h"

#include <algorithm>

#include "tests/sim/failure.h"

namespace lockstep::sim {
namespace {

using Kind = LockCommand::Kind;

void AddAcquireOptions(const LockCommand& command, std::vector<Bytes>* argv) {
  if (command.shared) argv->push_back("SHARED");
  argv->insert(argv->end(), {"TTL", std::to_string(command.ttl_ms)});
  if (command.block_ms) argv->insert(argv->end(), {"BLOCK", std::to_string(*command.block_ms)});
  if (command.limit != 0) argv->insert(argv->end(), {"LIMIT", std::to_string(command.limit)});
  if (command.bind) argv->push_back("BIND");
  if (command.meta_bytes == 0) return;
  argv->insert(argv->end(), {"META", MetaOf(command.name(), command.owner, command.meta_bytes)});
}

// A map as RESP3 or as RESP2 has it; CHECKs that `key` is there.
const Reply& At(const Reply& map, BytesView key) {
  for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
    if (map.items[i].text == key) return map.items[i + 1];
  }
  throw Failure{"a map without '" + Bytes(key) + "'"};
}

LockAnswer ReadInfo(const LockCommand& command, const Reply& reply) {
  LockAnswer answer;
  answer.kind = LockAnswer::Kind::kHolders;
  CHECK_SIM(At(reply, "name").text == command.name(), "LOCK.INFO tells of another lock");
  bool any_exclusive = false;
  for (const Reply& row : At(reply, "holders").items) {
    Operation::Holder holder;
    holder.owner = At(row, "owner").text;
    holder.shared = At(row, "mode").text == "SHARED";
    holder.token = static_cast<uint64_t>(At(row, "token").integer);
    CHECK_SIM(At(row, "ttl").integer > 0, "LOCK.INFO shows a holder whose lease is over");
    const Bytes& meta = At(row, "meta").text;
    CHECK_SIM(meta.empty() || meta == MetaOf(command.name(), holder.owner, meta.size()),
              "LOCK.INFO shows a META of %zu bytes that %s never gave for '%s'", meta.size(),
              holder.owner.c_str(), command.name().c_str());
    any_exclusive = any_exclusive || !holder.shared;
    answer.holders.push_back(std::move(holder));
  }
  std::sort(answer.holders.begin(), answer.holders.end(),
            [](const auto& a, const auto& b) { return a.owner < b.owner; });
  const char* state = answer.holders.empty() ? "FREE" : any_exclusive ? "LOCKED" : "SHARED";
  CHECK_SIM(At(reply, "state").text == state, "LOCK.INFO says %s, its holders say %s",
            At(reply, "state").text.c_str(), state);
  CHECK_SIM(!any_exclusive || answer.holders.size() == 1,
            "LOCK.INFO shows an exclusive holder beside another");
  answer.waiters = At(reply, "waiters").items.size();
  return answer;
}

LockAnswer ReadError(const LockCommand& command, const Reply& reply) {
  const BytesView text = reply.text;
  const BytesView code = text.substr(0, text.find(' '));
  LockAnswer answer;
  if (code == "UNCERTAIN" || code == "UNBLOCKED") {
    answer.kind = LockAnswer::Kind::kUnknown;
  } else if (code == "CLUSTERDOWN" || code == "TRYAGAIN" || code == "LIMIT" ||
             code == "EXECABORT") {
    answer.kind = LockAnswer::Kind::kRefused;
  } else if (code == "DEADLOCK" && command.acquires()) {
    answer.kind = LockAnswer::Kind::kDeadlock;
  } else {
    throw Failure{"unexpected reply to " + Argv(command).front() + ": " + Bytes(text)};
  }
  return answer;
}

}  // namespace

Bytes MetaOf(const Bytes& name, const Bytes& owner, size_t bytes) {
  Bytes meta = name + " of " + owner + "\r\n";
  meta.reserve(std::max(bytes, meta.size()) * 2);
  while (meta.size() < bytes) meta.append(meta, 0, bytes - meta.size());
  meta.resize(bytes);
  return meta;
}

std::vector<Bytes> Argv(const LockCommand& command) {
  std::vector<Bytes> argv;
  switch (command.kind) {
    case Kind::kAcquire:
      argv = {"LOCK.ACQUIRE", command.name(), command.owner};
      AddAcquireOptions(command, &argv);
      break;
    case Kind::kMultiAcquire:
      argv = {"LOCK.MACQUIRE", std::to_string(command.names.size())};
      argv.insert(argv.end(), command.names.begin(), command.names.end());
      argv.push_back(command.owner);
      AddAcquireOptions(command, &argv);
      break;
    case Kind::kRelease:
    case Kind::kReleaseAll:
      argv = {"LOCK.RELEASE", command.name(), command.owner};
      if (command.token != 0) argv.insert(argv.end(), {"TOKEN", std::to_string(command.token)});
      if (command.kind == Kind::kReleaseAll) argv.push_back("ALL");
      break;
    case Kind::kRenew:
    case Kind::kRenewAll:
      argv = {"LOCK.RENEW", command.name(), command.owner, "TTL", std::to_string(command.ttl_ms)};
      if (command.kind == Kind::kRenewAll) argv.push_back("ALL");
      break;
    case Kind::kCheck:
      argv = {"LOCK.CHECK", command.name(), std::to_string(command.token)};
      break;
    case Kind::kInfo:
      argv = {"LOCK.INFO", command.name()};
      break;
    case Kind::kRevoke:
      argv = {"LOCK.REVOKE", command.name()};
      if (!command.owner.empty()) argv.insert(argv.end(), {"OWNER", command.owner});
      break;
  }
  return argv;
}

LockAnswer Interpret(const LockCommand& command, const Reply* reply, bool sent) {
  LockAnswer answer;
  if (reply == nullptr) {
    answer.kind = sent ? LockAnswer::Kind::kUnknown : LockAnswer::Kind::kRefused;
    return answer;
  }
  if (reply->is_error()) return ReadError(command, *reply);
  if (command.kind == Kind::kInfo) return ReadInfo(command, *reply);
  if (command.acquires() && reply->is_nil()) {
    answer.kind = LockAnswer::Kind::kNil;
    return answer;
  }
  CHECK_SIM(reply->kind == Reply::Kind::kInteger && reply->integer >= 0,
            "%s answers no number: %s", Argv(command).front().c_str(), reply->text.c_str());
  answer.kind = command.acquires() ? LockAnswer::Kind::kToken : LockAnswer::Kind::kNumber;
  answer.number = static_cast<uint64_t>(reply->integer);
  CHECK_SIM(!answer.granted() || answer.number > 0, "a grant without a token");
  return answer;
}

}  // namespace lockstep::sim
