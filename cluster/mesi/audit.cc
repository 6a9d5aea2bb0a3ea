// The auditor: in production too, caches ask homes now and then whether what they have is what the
// home believes. It changes no line; what it finds is counted, and logged with both sides' events.
//
// Messages may be under way in both directions while a question is, so when is a "no" a proof that
// something is wrong? Question and answer go in the session's order like all messages, so:
//   - What the cache has said before the question, the home knows when it judges.
//   - What the home has said before the answer, the cache knows when it reads that. The line is
//     judged only if it was at rest (S, E, M) when it was asked about, and has made no transition
//     since: so none of that was a grant, an Inv or a Recall that the cache has done.
//   - An Inv or Recall that the cache has not done yet (it is on its way behind the answer, or put
//     off while the line is pinned) has either been sent after the home judged, or before: then the
//     home waits for its answer, the line is busy, and it says nothing.
// So at the moment at which the home judges a line that is not busy, both have the same history of
// it. Then a reader must be among the sharers, with the home's version; an owner the owner, under
// its generation. (What an owner writes is its own: its version is not compared.) A home lets what
// is over expire under a new version without a word; by then the reader has stopped (IsOver), and
// so it is not judged. When a session ends, both forget the question.
#include "cluster/mesi/agent.h"
#include "cluster/mesi/home.h"
#include "src/base/log.h"

namespace lockstep::mesi {
namespace {

constexpr size_t kTestimonyBytesMax = 8192;  // Sixteen events and a line.

bool IsAtRest(Copy state) { return state == Copy::kS || IsWritable(state); }

Bytes EventsOf(const Events* events, MonoTime now, BytesView key) {
  Bytes text;
  if (events == nullptr) return text;
  for (const Bytes& one : events->Tell(now, key)) text += (text.empty() ? "" : "; ") + one;
  return text;
}

Bytes TextOf(const Version& version) {
  return Format("version %lu.%lu.%lu", version.epoch, version.gen, version.seq);
}

}  // namespace

// One of the lines in the table's next bucket: over time, of all.
bool Agent::Audit(MonoTime now) {
  if (!open_ || audited_ || lines_.size() == 0) return false;
  if (now >= lease_until_ || used_ <= audit_used_) return false;
  std::vector<const Line*> at_rest;
  audit_at_ = lines_.Scan(audit_at_, 1, [&](const Line* line) {
    if (IsAtRest(StateOf(line)) && !IsOver(now, *line)) at_rest.push_back(line);
  });
  if (at_rest.empty()) return false;
  audit_used_ = used_;
  const Line& line = *at_rest[audits_++ % at_rest.size()];
  audited_ = {Bytes(line.key()), false};
  if (options_.events != nullptr) options_.events->Keep(now, line.key());
  Message question{.type = MessageType::kAudit, .key = line.key()};
  if (StateOf(&line) == Copy::kS) {
    question.have = true;
    question.payload = Payload{.version = line.version()};
  } else {
    question.gen = line.gen();
  }
  channel_->Send(question);
  return true;
}

// False: it was not asked.
bool Agent::OnVerdict(MonoTime now, const Message& verdict) {
  if (!audited_ || audited_->key != verdict.key) return false;
  const bool moved = audited_->moved;
  audited_.reset();
  const Line* line = lines_.Find(verdict.key);
  if (moved || line == nullptr || IsOver(now, *line)) return true;
  if (!verdict.have && !verdict.payload) return true;
  ++stats_->audits;
  if (verdict.have) return true;
  ++stats_->violations;
  LOCKSTEP_LOG(kError,
               "cache: this node has '%s' of shard %lu as %s, gen %lu, %s, but its home, node %lu, "
               "says: %s; what happened here: %s",
               Printable(verdict.key).c_str(), ShardOf(options_.shard), NameOf(StateOf(line)),
               line->gen(), TextOf(line->version()).c_str(), home_.value,
               Printable(verdict.payload->value, kTestimonyBytesMax).c_str(),
               EventsOf(options_.events, now, verdict.key).c_str());
  return true;
}

bool Home::OnAudit(MonoTime now, Session* session, const Message& question) {
  if (question.have != question.payload.has_value()) return false;
  const Line* line = lines_.Find(question.key);
  const DirLine dir = Load(line, question.key);
  Message verdict{.type = MessageType::kVerdict, .key = question.key};
  Bytes testimony;
  if (question.have) {
    verdict.have = dir.state == Dir::kSh && (dir.sharers & BitOf(session->number)) != 0 &&
                   line->version() == question.payload->version;
  } else {
    verdict.have =
        dir.state == Dir::kX && dir.owner == session->number && dir.gen == question.gen;
  }
  if (!verdict.have && !IsBusy(dir.state)) {
    testimony = Testimony(now, question.key, dir);
    verdict.payload = Payload{.present = true, .value = testimony};
  }
  Say(session, verdict);
  return true;
}

// What the home believes of a line, and what has become of it here.
Bytes Home::Testimony(MonoTime now, BytesView key, const DirLine& dir) {
  Bytes text = NameOf(dir.state);
  if (!HomeServes(dir.state)) text += Format(" of node %lu", NodeOf(dir.owner).value);
  for (uint8_t i = 0; i < kCaches; ++i) {
    if ((dir.sharers & BitOf(i)) != 0) text += Format(" node %lu", NodeOf(i).value);
  }
  text += Format(", gen %lu", dir.gen);
  if (const Line* line = lines_.Find(key)) text += ", " + TextOf(line->version());
  return text + "; what happened there: " + EventsOf(options_.events, now, key);
}

}  // namespace lockstep::mesi
