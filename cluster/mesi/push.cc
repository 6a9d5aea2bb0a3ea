// Lines of which the home has all that anybody has seen, whoever owns them (DCACHE.NS, CLASS home).
// Their owner pushes what it writes, and shows it to nobody before the home has taken it: there and
// back once, no disk, no log. So when the owner is lost, the home goes back to what it has.
//
// Always true of a home's line that a cache owns and that `pushes` is set of: its value is the
// latest that anybody has seen. The owner knows that it is to push since it was granted the line
// so, or since it has pushed the first of its writes by itself; it goes on as long as it owns it.
#include <utility>

#include "cluster/mesi/agent.h"
#include "cluster/mesi/home.h"
#include "src/base/check.h"
#include "src/base/limits.h"

namespace lockstep::mesi {
namespace {

// What one command pushes is taken at once, unless it is more than this; a value may come on top.
constexpr size_t kPushBytes = size_t{8} << 20;
constexpr size_t kPushesMax = 1024;  // And so many keys.
constexpr size_t kPushedBytesMax = kPushBytes + kLineValueBytesMax + kPushesMax * 2 * kNameBytesMax;

}  // namespace

// The home ------------------------------------------------------------------------------------

void Home::OnGrantX(Line* line) {
  listener_->OnUnreadable(line->key());
  line->set_pushes(!line->durable() && listener_->Pushes(line->key()));
}

bool Home::OnPush(MonoTime now, Session* session, const Message& message) {
  if (!message.payload) return false;
  if (!message.keeps && session->pushed.empty()) return TakePush(now, session, message);
  Writer out(&session->pushed.emplace_back());
  EncodeMessage(message, &out);
  size_t bytes = 0;
  for (const Bytes& one : session->pushed) bytes += one.size();
  if (session->pushed.size() > kPushesMax || bytes > kPushedBytesMax) return false;
  if (message.keeps) return true;
  for (const Bytes& one : std::exchange(session->pushed, {})) {
    Reader in(one);
    Message taken;
    CHECK(DecodeMessage(&in, &taken));
    if (!TakePush(now, session, taken)) return false;
  }
  return true;
}

// Its owner's, whatever we have asked it for meanwhile: it answers that when it has heard of this.
bool Home::TakePush(MonoTime now, Session* session, const Message& message) {
  if (GenOfOwner(*session, message.key) != message.gen) return false;
  Line* line = lines_.Find(message.key);
  TakeData(now, line, *message.payload);
  line->set_pushes(true);
  ++stats_->pushes;
  Say(session, {.type = MessageType::kCommitted, .key = message.key, .gen = message.gen});
  return true;
}

// The cache -----------------------------------------------------------------------------------

void Agent::Push(const std::vector<Bytes>& keys) {
  size_t bytes = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    Line* line = lines_.Find(keys[i]);
    CHECK(line != nullptr && IsWritable(StateOf(line)) && !line->durable());
    CHECK(committing_.insert(keys[i]).second);
    line->set_pushes(true);
    bytes += line->value().size();
    const bool more = i + 1 < keys.size() && bytes < kPushBytes && (i + 1) % kPushesMax != 0;
    if (!more) bytes = 0;
    channel_->Send({.type = MessageType::kCommit,
                    .key = keys[i],
                    .gen = line->gen(),
                    .have = true,
                    .keeps = more,
                    .payload = PayloadOf(*line)});
  }
}

// The home has it as we do: if it is given up, it need not be said again.
void Agent::OnPushed(BytesView key) {
  Line* line = lines_.Find(key);
  if (line == nullptr || line->durable() || !line->pushes()) return;
  CHECK(IsWritable(StateOf(line)));  // It is pinned.
  line->set_state(static_cast<uint8_t>(Copy::kE));
  line->set_ttl_is_new(false);
}

}  // namespace lockstep::mesi
