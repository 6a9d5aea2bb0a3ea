#include "cluster/mesi/directory.h"

namespace lockstep::mesi {
namespace {

// Whom a request meets. Read it with the states across: CACHE's table of the home.
enum class Meets : uint8_t { kItself, kOthers, kNoOthers };

struct Row {
  Dir state;
  bool write;
  Meets meets;  // Of kSh: sharers beside the one who asks. Of kX: whether it is the owner itself.
  int actions;
  Dir next;
};

using enum Dir;

// A request for a line that is not busy. The owner asks for nothing that it has: no row.
constexpr Row kRequests[] = {
    {kU, false, Meets::kNoOthers, kGrantS, kSh},
    {kU, true, Meets::kNoOthers, kGrantX, kX},
    {kSh, false, Meets::kNoOthers, kGrantS, kSh},
    {kSh, false, Meets::kOthers, kGrantS, kSh},
    {kSh, true, Meets::kNoOthers, kGrantX, kX},
    {kSh, true, Meets::kOthers, kSendInv, kBInv},
    {kX, false, Meets::kOthers, kSendRecallS, kBRS},
    {kX, true, Meets::kOthers, kSendRecallX, kBRX},
};

const Row* FindRow(Dir state, bool write, Meets meets) {
  for (const Row& row : kRequests) {
    if (row.state == state && row.write == write && row.meets == meets) return &row;
  }
  return nullptr;
}

Meets Whom(const DirLine& line, uint8_t who) {
  const uint64_t me = who < kCaches ? BitOf(who) : 0;
  if (line.state == kSh) return (line.sharers & ~me) != 0 ? Meets::kOthers : Meets::kNoOthers;
  if (line.state == kX) return line.owner == who ? Meets::kItself : Meets::kOthers;
  return Meets::kNoOthers;
}

constexpr DirStep kImpossible{.actions = kDirNothing, .possible = false};

DirStep Does(int actions) {
  return {static_cast<uint16_t>(actions), true};
}

// The request gets what it wants; nobody but it has the line, but for `readers`.
DirStep Grant(DirLine* line, Request request, uint64_t readers, int actions, uint64_t* next_gen) {
  line->request = request;
  const bool to_cache = request.who < kCaches;
  line->sharers = 0;
  if (!request.write) {
    line->sharers = readers | (to_cache ? BitOf(request.who) : 0);
    line->state = line->sharers != 0 ? kSh : kU;
    const bool somebody = request.who != kNobody;
    return Does(actions | kNext | (somebody ? kGrantS : kDirNothing));
  }
  // Under a new generation, whoever it is for: so no two values have one version.
  line->gen = ++*next_gen;
  line->state = to_cache ? kX : kU;
  if (to_cache) line->owner = request.who;
  if (request.who == kNobody) return Does(actions | kNext);
  return Does(actions | kNext | (request.have ? kGrantUpgrade : kGrantX));
}

void ForgetRequester(DirLine* line, uint8_t who) {
  if (line->request.who == who) line->request.who = kNobody;
}

}  // namespace

DirStep OnRequest(DirLine* line, const Request& request, uint64_t* next_gen) {
  if (IsBusy(line->state)) return Does(kQueue);
  const Meets meets = Whom(*line, request.who);
  const Row* row = FindRow(line->state, request.write, meets);
  if (row == nullptr) return kImpossible;

  const uint64_t me = request.who < kCaches ? BitOf(request.who) : 0;
  Request served = request;
  // It may have lost its copy since it asked.
  served.have &= line->state == kSh && (line->sharers & me) != 0;
  if ((row->actions & (kGrantS | kGrantX)) != 0) {
    const DirStep step = Grant(line, served, line->sharers, kDirNothing, next_gen);
    return Does(step.actions & ~kNext);
  }
  line->request = served;
  if (row->next == kBInv) line->sharers &= ~me;
  line->state = row->next;
  return Does(row->actions);
}

DirStep OnInvAck(DirLine* line, uint8_t who, uint64_t* next_gen) {
  if (line->state != kBInv || (line->sharers & BitOf(who)) == 0) return kImpossible;
  line->sharers &= ~BitOf(who);
  if (line->sharers != 0) return Does(kDirNothing);
  return Grant(line, line->request, 0, kDirNothing, next_gen);
}

DirStep OnRecallAck(DirLine* line, const FromOwner& from, uint64_t* next_gen) {
  const bool ours = line->owner == from.who && line->gen == from.gen;
  if (!ours || (line->state != kBRS && line->state != kBRX)) return kImpossible;
  if (from.keeps && line->state == kBRX) return kImpossible;
  return Grant(line, line->request, from.keeps ? BitOf(from.who) : 0, kTakeData, next_gen);
}

DirStep OnWriteBack(DirLine* line, const FromOwner& from, uint64_t* next_gen) {
  const bool ours = line->owner == from.who && line->gen == from.gen;
  if (!ours || HomeServes(line->state) || line->state == kBInv) return kImpossible;
  const uint64_t readers = from.keeps ? BitOf(from.who) : 0;
  const int ack = from.keeps ? kWbAckKeeping : kWbAck;
  if (line->state == kX) {
    line->sharers = readers;
    line->state = from.keeps ? kSh : kU;
    return Does(kTakeData | ack);
  }
  // Sent before our recall came: it is the answer to it. But a reader must drop its copy first,
  // and says so when the recall has reached it: until then nothing is granted, nor acknowledged.
  if (line->state == kBRX && from.keeps) return Does(kTakeData);
  return Grant(line, line->request, readers, kTakeData | ack, next_gen);
}

DirStep OnGone(DirLine* line, uint8_t who, uint64_t* next_gen) {
  switch (line->state) {
    case kU:
      return Does(kDirNothing);
    case kSh:
      line->sharers &= ~BitOf(who);
      if (line->sharers == 0) line->state = kU;
      return Does(kDirNothing);
    case kX:
      if (line->owner != who) return Does(kDirNothing);
      line->state = kU;
      line->gen = ++*next_gen;
      return Does(kForget);
    case kBInv:
      ForgetRequester(line, who);
      if ((line->sharers & BitOf(who)) == 0) return Does(kDirNothing);
      return OnInvAck(line, who, next_gen);
    case kBRS:
    case kBRX:
      ForgetRequester(line, who);
      if (line->owner != who) return Does(kDirNothing);
      ++*next_gen;  // Of what is absent from now on.
      return Grant(line, line->request, 0, kForget, next_gen);
  }
  return kImpossible;
}

const char* NameOf(Dir state) {
  static constexpr const char* kNames[] = {"U", "Sh", "X", "B_INV", "B_RS", "B_RX"};
  return kNames[static_cast<size_t>(state)];
}

}  // namespace lockstep::mesi
