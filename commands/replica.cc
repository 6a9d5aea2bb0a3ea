#include "commands/replica.h"

#include <algorithm>

#include "src/base/hash.h"

namespace lockstep {
namespace {

constexpr uint8_t kSaveVersion = 1;

// The first byte of an entry's data.
enum class EntryKind : uint8_t { kRequest = 1, kOpenSession = 2, kSessionOver = 3 };

Error Damaged(const char* what) {
  return Error{Format("snapshot of a replica is damaged: %s", what)};
}

// Of an error only its code: another version may put the sentence otherwise (trap 55).
uint64_t HashOf(const Reply& reply) {
  BytesView text = reply.text;
  if (reply.is_error()) text = text.substr(0, text.find(' '));
  uint64_t hash = HashMix(static_cast<uint64_t>(reply.kind), Hash64(text));
  hash = HashMix(hash, static_cast<uint64_t>(reply.integer));
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

void EncodeRequest(const LoggedRequest& request, Writer* out) {
  out->U8(static_cast<uint8_t>(EntryKind::kRequest));
  out->Put(request.id);
  out->Varint(request.answered_below);
  request.answered.Encode(out);
  out->String(request.op);
}

BytesView OperationIn(BytesView data) {
  Reader in(data);
  if (static_cast<EntryKind>(in.U8()) != EntryKind::kRequest) return {};
  (void)in.GetRequestId();
  (void)in.Varint();
  (void)IntervalSet::Decode(&in);
  const BytesView op = in.String();
  return in.done() ? op : BytesView();
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

void Replica::Session::Forget(uint64_t below, const IntervalSet& others) {
  for (const auto& [from, to] : others.all()) {
    requests.erase(requests.lower_bound(from), requests.lower_bound(to));
    answered.AddRun(from, to);
  }
  answered_below = std::max(answered_below, below);
  answered.DropBelow(answered_below);
  if (answered.Contains(answered_below)) {  // What was a hole has closed.
    answered_below = answered.all().begin()->second;
    answered.DropBelow(answered_below);
  }
  requests.erase(requests.begin(), requests.lower_bound(answered_below));
}

Replica::Replica(std::unique_ptr<StateMachine> machine) : machine_(std::move(machine)) {}

bool Replica::Apply(const Position& at, BytesView data, Effects* out) {
  answers_hash_ = HashMix(answers_hash_, Hash64(data));
  Advance(at, out);

  Reader in(data);
  switch (static_cast<EntryKind>(in.U8())) {
    case EntryKind::kRequest: {
      LoggedRequest request;
      request.id = in.GetRequestId();
      request.answered_below = in.Varint();
      request.answered = IntervalSet::Decode(&in);
      request.op = in.String();
      if (!in.done()) return false;
      ApplyRequest(at, request, out);
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
  }
  return false;
}

void Replica::Pulse(const Position& at, Effects* out) { Advance(at, out); }

void Replica::Advance(const Position& at, Effects* out) {
  const size_t first = out->answers.size();
  machine_->Advance(at, out);
  Keep(first, out);
}

// Exactly once: a request that was answered is answered again from memory; one that still waits
// goes on waiting; one that its gateway needs no more, or of a session that is over, is dropped.
void Replica::ApplyRequest(const Position& at, const LoggedRequest& request, Effects* out) {
  const RequestId& id = request.id;
  const auto known = sessions_.find(id.origin);
  if (known == sessions_.end() || id.incarnation == 0) return;
  Session& session = known->second;
  if (id.incarnation != session.open.incarnation) return;
  session.Forget(request.answered_below, request.answered);
  if (session.NeedsNoMore(id.seq)) return;

  const auto [it, is_new] = session.requests.try_emplace(id.seq);
  if (!is_new) {
    if (it->second.has_value()) out->Give(id, *it->second);
    return;
  }
  const size_t first = out->answers.size();
  machine_->Apply(at, id, request.op, out);
  Keep(first, out);
}

void Replica::Open(const Position& at, NodeId origin, const SessionName& name, Effects* out) {
  const SessionName known = SessionOf(origin).name;
  const bool late = known.disk == name.disk &&
                    std::pair(known.boot, known.number) >= std::pair(name.boot, name.number);
  if (late) return;  // A copy that took its time.
  End(at, origin, out);
  sessions_[origin].open = {name, at.index.value};
}

// Its name stays: what would open it again is a late copy.
void Replica::End(const Position& at, NodeId origin, Effects* out) {
  Session& session = sessions_[origin];
  const SessionName name = session.open.name;
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
    const auto request = session->second.requests.find(answer.request.seq);
    if (request == session->second.requests.end()) return true;
    CHECK(!request->second.has_value());  // A request is answered once.
    request->second = answer.reply;
    answers_hash_ = HashMix(answers_hash_, HashOf(answer.request, answer.reply));
    return false;
  };
  const auto from = out->answers.begin() + static_cast<std::ptrdiff_t>(first);
  out->answers.erase(std::remove_if(from, out->answers.end(), is_unwanted), out->answers.end());
}

Bytes Replica::Save() const {
  Bytes out;
  Writer writer(&out);
  writer.U8(kSaveVersion);
  writer.U64(answers_hash_);
  writer.Varint(sessions_.size());
  for (const auto& [origin, session] : sessions_) {
    writer.Put(origin);
    session.open.name.Encode(&writer);
    writer.Varint(session.open.incarnation);
    writer.Varint(session.answered_below);
    session.answered.Encode(&writer);
    writer.Varint(session.requests.size());
    for (const auto& [seq, reply] : session.requests) {
      writer.Varint(seq);
      writer.Bool(reply.has_value());
      if (reply) EncodeReply(*reply, &writer);
    }
  }
  machine_->Save(&writer);
  return out;
}

Result<void> Replica::Load(BytesView bytes) {
  sessions_.clear();
  Reader in(bytes);
  const uint8_t version = in.U8();
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
  return {};
}

Result<void> Replica::LoadSession(Reader* in, std::map<NodeId, Session>* sessions) {
  const auto origin = in->Get<NodeId>();
  Session session;
  session.open.name = SessionName::Decode(in);
  session.open.incarnation = in->Varint();
  session.answered_below = in->Varint();
  session.answered = IntervalSet::Decode(in);
  const size_t requests = in->Count(2);
  for (size_t i = 0; i < requests && in->ok(); ++i) {
    const uint64_t seq = in->Varint();
    std::optional<Reply> reply;
    if (in->Bool()) reply = DecodeReply(in);
    if (session.NeedsNoMore(seq)) return Damaged("a request that was answered");
    session.requests.emplace(seq, std::move(reply));
  }
  if (!in->ok()) return Damaged("a session");
  if (!sessions->emplace(origin, std::move(session)).second) return Damaged("a session twice");
  return {};
}

uint64_t Replica::Hash() const { return HashMix(machine_->Hash(), answers_hash_); }

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
    const auto& runs = session.answered.all();
    CHECK(runs.empty() || runs.begin()->first > session.answered_below);
    for (const auto& [seq, reply] : session.requests) CHECK(!session.NeedsNoMore(seq));
  }
  machine_->CheckInvariants();
}

}  // namespace lockstep
