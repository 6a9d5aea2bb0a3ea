// Commands that caches have run here: see ship.h.
#include "cluster/mesi/home.h"
#include "cluster/mesi/ship.h"
#include "src/base/hash.h"

namespace lockstep::mesi {

// Whether its line is contended, of which a cache is to hear. What is durable is never shipped.
bool Home::NoteGrant(MonoTime now, const Line* line, const DirLine& dir) {
  if (options_.contention == nullptr || line->durable()) return false;
  const uint64_t hash = KeyedHash(line->key());
  options_.contention->OnGrant(now, hash, dir.request.who, dir.gen, line->version());
  return options_.contention->Has(now, hash);
}

bool Home::OnShip(Session* session, const Message& ship) {
  if (ship.round > session->ship_round || ship.words.size() > kShipBytesMax) return false;
  if (ship.round < session->ship_round) return true;  // It was sent before that was heard.
  if (!hands_over_) return listener_->OnShip(session->node, session->id, ship);
  RefuseShips(session->node, session->id);
  return true;
}

Version Home::VersionOf(BytesView key) {
  const Line* line = lines_.Find(key);
  return line == nullptr ? Version() : line->version();
}

void Home::AnswerShip(MonoTime now, NodeId to, SessionId id, BytesView key, uint64_t number,
                      BytesView words, const Version& was) {
  ++stats_->ships_run;
  Session* session = SessionOf(to);
  if (session == nullptr || session->id != id) return;
  bool contended = false;
  if (options_.contention != nullptr) {
    const uint64_t hash = KeyedHash(key);
    options_.contention->OnShip(now, hash, session->number, was, VersionOf(key));
    contended = options_.contention->Has(now, hash);
  }
  Say(session, {.type = MessageType::kShipReply,
                .key = key,
                .gen = number,
                .have = contended,
                .words = words});
}

void Home::RefuseShips(NodeId to, SessionId id) {
  Session* session = SessionOf(to);
  if (session == nullptr || session->id != id) return;
  ++session->ship_round;
  Say(session, {.type = MessageType::kShipReply, .have = hands_over_, .keeps = true});
  session->last_notice = session->channel.said();
}

}  // namespace lockstep::mesi
