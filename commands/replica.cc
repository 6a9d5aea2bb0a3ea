#include "commands/replica.h"

#include <algorithm>

#include "commands/queue_ops.h"
#include "commands/shard_machine.h"
#include "src/base/hash.h"
#include "src/base/planted.h"

namespace lockstep {
namespace {

// A plant.
bool Pops(const StateMachine& machine, BytesView encoded) {
  if (dynamic_cast<const ShardMachine*>(&machine) == nullptr) return false;
  const std::optional<QueueOp> op = DecodeQueueOp(encoded);
  return op && std::holds_alternative<PopOp>(*op);
}

constexpr uint8_t kSaveVersion = 2;

// The first byte of an entry's data.
enum class EntryKind : uint8_t { kRequests = 1, kOpenSession = 2, kSessionOver = 3, kKeys = 4 };

Error Damaged(const char* what) {
  return Error{Format("snapshot of a replica is damaged: %s", what)};
}

// Of an error only its code: another version may put the sentence otherwise (trap 55).
uint64_t HashOf(const Reply& reply) {
  BytesView text = reply.text;
  if (reply.is_error()) text = text.substr(0, text.find(' '));
  uint64_t hash = HashMix(static_cast<uint64_t>(reply.kind), Hash64(text));
  hash = HashMix(hash, static_cast<uint64_t>(reply.integer));
  if (reply.kind == Reply::Kind::kLogged) {
    hash = HashMix(hash, reply.span.entry);
    hash = HashMix(hash, uint64_t{reply.span.at} << 32 | reply.span.size);
  }
  for (const Reply& item : reply.items) hash = HashMix(hash, HashOf(item));
  return hash;
}

uint64_t HashOf(const RequestId& id, const Reply& reply) {
  const uint64_t hash = HashMix(HashMix(id.origin.value, id.incarnation), id.seq);
  return HashMix(hash, HashOf(reply));
}

}  // namespace

void SessionName::Encode(Writer* out) const {
  out->U64(disk.value);
  out->Varint(boot);
  out->Varint(number);
}

SessionName SessionName::Decode(Reader* in) {
  SessionName name;
  name.disk = DiskId{in->U64()};
  name.boot = in->Varint();
  name.number = in->Varint();
  return name;
}

// An operation never has no bytes, so a count of zero ends the list: it can be written while nobody
// knows how many will follow.
RequestsEntry::RequestsEntry(NodeId origin, uint64_t incarnation)
    : origin_(origin), incarnation_(incarnation) {
  Writer out(&data_);
  out.U8(static_cast<uint8_t>(EntryKind::kRequests));
  out.Put(origin);
  out.Varint(incarnation);
}

void RequestsEntry::Add(uint64_t seq, BytesView op) {
  CHECK(!op.empty());
  Writer out(&data_);
  out.String(op);
  out.Varint(seq);
}

void RequestsEntry::Tell(const Answered& answered) {
  answered_.below = std::max(answered_.below, answered.below);
  for (const auto& [from, to] : answered.others.all()) answered_.others.AddRun(from, to);
}

Bytes RequestsEntry::Finish() {
  Writer out(&data_);
  out.String({});
  out.Varint(answered_.below);
  answered_.others.Encode(&out);
  return std::move(data_);
}

bool Replica::Decode(Reader* in, LoggedRequests* out) {
  out->origin = in->Get<NodeId>();
  out->incarnation = in->Varint();
  out->requests.clear();
  for (BytesView op = in->String(); !op.empty(); op = in->String()) {
    out->requests.push_back({in->Varint(), op});
    if (out->requests.back().seq == kNoSeq) in->Fail();
  }
  out->answered.below = in->Varint();
  out->answered.others = IntervalSet::Decode(in);
  return in->done();
}

std::vector<BytesView> OperationsIn(BytesView data) {
  Reader in(data);
  if (static_cast<EntryKind>(in.U8()) != EntryKind::kRequests) return {};
  Replica::LoggedRequests entry;
  if (!Replica::Decode(&in, &entry)) return {};
  std::vector<BytesView> operations;
  for (const Replica::LoggedRequest& request : entry.requests) operations.push_back(request.op);
  return operations;
}

void EncodeOpenSession(NodeId origin, const SessionName& name, Writer* out) {
  out->U8(static_cast<uint8_t>(EntryKind::kOpenSession));
  out->Put(origin);
  name.Encode(out);
}

void EncodeSessionOver(NodeId origin, uint64_t incarnation, Writer* out) {
  out->U8(static_cast<uint8_t>(EntryKind::kSessionOver));
  out->Put(origin);
  out->Varint(incarnation);
}

void EncodeKeysWritten(BytesView op, Writer* out) {
  out->U8(static_cast<uint8_t>(EntryKind::kKeys));
  out->Raw(op);
}

void Replica::Session::ForgetRun(uint64_t from, uint64_t to) {
  for (uint64_t seq = requests.FirstFrom(from, to); seq != kNoSeq;
       seq = requests.FirstFrom(seq + 1, to)) {
    requests.Remove(seq);
  }
}

void Replica::Session::Forget(const Answered& more) {
  for (const auto& [from, to] : more.others.all()) {
    ForgetRun(from, to);
    answered.others.AddRun(from, to);
  }
  const uint64_t below_before = answered.below;
  answered.below = std::max(answered.below, more.below);
  answered.others.DropBelow(answered.below);
  if (answered.others.Contains(answered.below)) {  // What was a hole has closed.
    answered.below = answered.others.all().begin()->second;
    answered.others.DropBelow(answered.below);
  }
  ForgetRun(below_before, answered.below);
}

Replica::Replica(std::unique_ptr<StateMachine> machine) : machine_(std::move(machine)) {}

bool Replica::Apply(Index index, ClusterTime time, BytesView data, Effects* out) {
  answers_hash_ = HashMix(answers_hash_, Hash64(data));
  Position at = Advance(index, time, out);
  at.entry = index;
  at.data = data;

  Reader in(data);
  switch (static_cast<EntryKind>(in.U8())) {
    case EntryKind::kRequests: {
      if (!Decode(&in, &entry_)) return false;
      ApplyRequests(at, out);
      return true;
    }
    case EntryKind::kOpenSession: {
      const auto origin = in.Get<NodeId>();
      const SessionName name = SessionName::Decode(&in);
      if (!in.done()) return false;
      Open(at, origin, name, out);
      return true;
    }
    case EntryKind::kSessionOver: {
      const auto origin = in.Get<NodeId>();
      const uint64_t incarnation = in.Varint();
      if (!in.done()) return false;
      if (incarnation != 0 && SessionOf(origin).incarnation == incarnation) End(at, origin, out);
      return true;
    }
    case EntryKind::kKeys:
      return machine_->ApplyKeys(at, in.Raw(in.left()), out);
  }
  return false;
}

void Replica::Pulse(Index index, ClusterTime time, Effects* out) {
  (void)Advance(index, time, out);
}

// Returns the first place in the entry.
Position Replica::Advance(Index index, ClusterTime time, Effects* out) {
  last_place_ = std::max(index, Next(last_place_));
  const Position at{last_place_, time};
  const size_t first = out->answers.size();
  machine_->Advance(at, out);
  Keep(first, out);
  return at;
}

void Replica::ApplyRequests(Position at, Effects* out) {
  const auto known = sessions_.find(entry_.origin);
  if (known == sessions_.end() || entry_.incarnation == 0) return;
  Session& session = known->second;
  if (entry_.incarnation != session.open.incarnation) return;
  const uint64_t below = session.answered.below;
  session.Forget(entry_.answered);
  for (const LoggedRequest& request : entry_.requests) {
    ApplyRequest(at, request, &session, out);
    last_place_ = at.index;
    at.index = Next(at.index);
  }
  TellHeard(below, session.answered.below);
  for (const auto& [from, to] : entry_.answered.others.all()) TellHeard(from, to);
}

// After the requests of the entry: among them may be what gives an answer back that nobody took.
void Replica::TellHeard(uint64_t from, uint64_t to) {
  if (from >= to) return;
  machine_->Heard({entry_.origin, entry_.incarnation, from},
                  {entry_.origin, entry_.incarnation, to - 1});
}

// Exactly once: a request that was answered is answered again from memory; one that still waits
// goes on waiting; one that its gateway needs no more, or of a session that is over, is dropped.
void Replica::ApplyRequest(const Position& at, const LoggedRequest& request, Session* session,
                           Effects* out) {
  if (session->NeedsNoMore(request.seq)) return;
  const RequestId id{entry_.origin, entry_.incarnation, request.seq};
  const std::optional<Reply>* answer = session->requests.Find(request.seq);
  const bool waits_twice = Planted(Mutant::kDemandCountedTwice) && answer != nullptr &&
                           !answer->has_value() && Pops(*machine_, request.op);
  if (answer != nullptr && !Planted(Mutant::kRepeatDoneTwice) && !waits_twice) {
    if (answer->has_value()) out->Give(id, **answer);
    return;
  }
  if (answer == nullptr) session->requests.Add(request.seq, std::nullopt);
  const size_t first = out->answers.size();
  machine_->Apply(at, id, request.op, out);
  Keep(first, out);
}

void Replica::Open(const Position& at, NodeId origin, const SessionName& name, Effects* out) {
  const SessionName known = SessionOf(origin).name;
  const bool late = known.disk == name.disk &&
                    std::pair(known.boot, known.number) >= std::pair(name.boot, name.number);
  if (late) return;  // A copy that took its time.
  const bool same_disk = known.disk == name.disk;
  End(at, origin, out);
  // The process that had the one before is no more, or knows.
  if (same_disk || known.disk.value == 0) --sessions_ended_;
  sessions_[origin].open = {name, at.index.value};
}

// Its name stays: what would open it again is a late copy.
void Replica::End(const Position& at, NodeId origin, Effects* out) {
  Session& session = sessions_[origin];
  const SessionName name = session.open.name;
  ++sessions_changed_;
  ++sessions_ended_;
  session = Session();
  session.open.name = name;
  const size_t first = out->answers.size();
  machine_->EndSessions(at, origin, at.index.value, out);
  Keep(first, out);
}

void Replica::Keep(size_t first, Effects* out) {
  const auto is_unwanted = [this](const Effects::Answer& answer) {
    const auto session = sessions_.find(answer.request.origin);
    if (session == sessions_.end()) return true;
    if (session->second.open.incarnation != answer.request.incarnation) return true;
    std::optional<Reply>* kept = session->second.requests.Find(answer.request.seq);
    if (kept == nullptr) return true;
    if (Planted(Mutant::kDemandCountedTwice) && kept->has_value()) return true;
    CHECK(!kept->has_value());  // A request is answered once.
    *kept = answer.reply;
    answers_hash_ = HashMix(answers_hash_, HashOf(answer.request, answer.reply));
    return false;
  };
  const auto from = out->answers.begin() + static_cast<std::ptrdiff_t>(first);
  out->answers.erase(std::remove_if(from, out->answers.end(), is_unwanted), out->answers.end());
}

Bytes Replica::Save() const {
  Bytes out;
  Writer writer(&out);
  SaveSessions(&writer);
  machine_->Save(&writer);
  return out;
}

void Replica::BeginSave(Bytes* out) {
  Writer writer(out);
  SaveSessions(&writer);
  machine_->BeginSave(&writer);
}

bool Replica::SaveMore(size_t records, Bytes* out) {
  Writer writer(out);
  return machine_->SaveMore(records, &writer);
}

void Replica::SaveSessions(Writer* out) const {
  Writer& writer = *out;
  writer.U8(kSaveVersion);
  writer.Put(last_place_);
  writer.U64(answers_hash_);
  writer.Varint(sessions_.size());
  for (const auto& [origin, session] : sessions_) {
    writer.Put(origin);
    session.open.name.Encode(&writer);
    writer.Varint(session.open.incarnation);
    writer.Varint(session.answered.below);
    session.answered.others.Encode(&writer);
    writer.Varint(session.requests.size());
    session.requests.ForEach([&](uint64_t seq, const std::optional<Reply>* reply) {
      writer.Varint(seq);
      writer.Bool(reply->has_value());
      if (reply->has_value()) EncodeReply(**reply, &writer);
    });
  }
}

Result<void> Replica::Load(BytesView bytes) {
  sessions_.clear();
  Reader in(bytes);
  const uint8_t version = in.U8();
  last_place_ = in.Get<Index>();
  answers_hash_ = in.U64();
  std::map<NodeId, Session> sessions;
  Result<void> done;
  if (version != kSaveVersion) done = Damaged("its format is not known to this program");
  const size_t count = in.Count(14);
  for (size_t i = 0; i < count && done.ok(); ++i) done = LoadSession(&in, &sessions);
  if (done.ok() && !in.ok()) done = Damaged("it ends too soon");
  if (!done.ok()) in.Fail();
  // A reader that has failed leaves the machine empty.
  Result<void> loaded = machine_->Load(&in);
  if (!done.ok()) return done;
  if (!loaded.ok()) return loaded;
  if (!in.done()) {
    Reader nothing{BytesView()};
    (void)machine_->Load(&nothing);
    return Damaged("something follows its end");
  }
  sessions_ = std::move(sessions);
  if (Planted(Mutant::kSnapshotWithoutDedup)) {
    for (auto& [origin, session] : sessions_) {
      session.requests.ForEach([&requests = session.requests](uint64_t seq, const auto* reply) {
        if (reply->has_value()) requests.Remove(seq);
      });
    }
  }
  return {};
}

Result<void> Replica::LoadSession(Reader* in, std::map<NodeId, Session>* sessions) {
  const auto origin = in->Get<NodeId>();
  Session session;
  session.open.name = SessionName::Decode(in);
  session.open.incarnation = in->Varint();
  session.answered.below = in->Varint();
  session.answered.others = IntervalSet::Decode(in);
  const auto& runs = session.answered.others.all();
  if (!runs.empty() && runs.begin()->first <= session.answered.below) {
    return Damaged("what a session needs no more is told twice");
  }
  const size_t requests = in->Count(2);
  for (size_t i = 0; i < requests && in->ok(); ++i) {
    const uint64_t seq = in->Varint();
    std::optional<Reply> reply;
    if (in->Bool()) reply = DecodeReply(in);
    if (session.NeedsNoMore(seq)) return Damaged("a request that was answered");
    if (seq == kNoSeq || session.requests.Find(seq) != nullptr) return Damaged("a request twice");
    session.requests.Add(seq, std::move(reply));
  }
  if (!in->ok()) return Damaged("a session");
  if (!sessions->emplace(origin, std::move(session)).second) return Damaged("a session twice");
  return {};
}

uint64_t Replica::Hash() const { return HashMix(machine_->Hash(), answers_hash_); }

std::vector<NodeId> Replica::Origins() const {
  std::vector<NodeId> origins;
  for (const auto& [origin, session] : sessions_) {
    if (session.open.incarnation != 0) origins.push_back(origin);
  }
  return origins;
}

Replica::OpenSession Replica::SessionOf(NodeId origin) const {
  const auto session = sessions_.find(origin);
  return session == sessions_.end() ? OpenSession{} : session->second.open;
}

size_t Replica::remembered() const {
  size_t n = 0;
  for (const auto& [origin, session] : sessions_) n += session.requests.size();
  return n;
}

void Replica::CheckInvariants() const {
  for (const auto& [origin, session] : sessions_) {
    const auto& runs = session.answered.others.all();
    CHECK(runs.empty() || runs.begin()->first > session.answered.below);
    session.requests.ForEach([&session = session](uint64_t seq, const std::optional<Reply>*) {
      CHECK(!session.NeedsNoMore(seq));
    });
  }
  machine_->CheckInvariants();
}

}  // namespace lockstep
