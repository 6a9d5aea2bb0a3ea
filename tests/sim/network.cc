#include "tests/sim/network.h"

#include <algorithm>
#include <utility>

#include "cluster/bus/frame.h"
#include "tests/sim/world.h"

namespace lockstep::sim {
namespace {

constexpr size_t kStalledMax = 5000;  // Frames.
constexpr int kPatience = 40;  // Times that a dialler waits for a node that stands still.

// What travels, travels as bytes.
template <class Message, class Encode, class Decode>
Message OverTheWire(const Message& message, Encode encode, Decode decode) {
  Bytes bytes;
  Writer writer(&bytes);
  encode(message, &writer);
  Result<Message> decoded = decode(bytes);
  CHECK_SIM(decoded.ok(), "a hello does not decode: %s", decoded.error().message.c_str());
  return *decoded;
}

bus::Hello HelloOf(const bus::HelloReply& reply, NodeId to, bus::Lane lane) {
  bus::Hello hello;
  hello.protocol_min = reply.protocol;
  hello.protocol_max = reply.protocol;
  hello.cluster = reply.cluster;
  hello.from = reply.from;
  hello.to = to;
  hello.disk = reply.disk;
  hello.incarnation = reply.incarnation;
  hello.lane = lane;
  hello.server_version = reply.server_version;
  hello.host = reply.host;
  hello.client_port = reply.client_port;
  return hello;
}

}  // namespace

Network::Link& Network::At(const Key& key) {
  return links_.try_emplace(key, &world_->rng()).first->second;
}

bool Network::Linked(NodeId from, NodeId to) const {
  const auto link = links_.find({from, to, bus::Lane::kControl});
  return link != links_.end() && link->second.state == State::kUp && !IsCut(from, to);
}

// Dialling ---------------------------------------------------------------------------------------

void Network::Follow(NodeId from, const std::vector<PeerAddress>& peers) {
  for (auto& [key, link] : links_) {
    if (key.from == from) link.wanted = false;
  }
  for (const PeerAddress& peer : peers) {
    for (const bus::Lane lane : {bus::Lane::kControl, bus::Lane::kBulk}) {
      const Key key{from, peer.id, lane};
      Link& link = At(key);
      link.wanted = true;
      if (std::exchange(link.dials, peer.dials) != peer.dials && link.state == State::kUp) {
        link.backoff.Reset();
        Break(key, link.ends.generation);
      }
      if (link.state == State::kDown) Dial(key, world_->rng().Between(0, 2000));
    }
  }
  for (auto& [key, link] : links_) {
    if (key.from != from || link.wanted || link.state == State::kDown) continue;
    Break(key, link.ends.generation);
  }
}

void Network::Dial(const Key& key, int64_t delay_us) {
  Link& link = At(key);
  link.state = State::kDialing;
  link.ends.from_instance = world_->process(key.from).instance();
  const uint64_t generation = ++link.ends.generation;
  world_->events().After(delay_us, [this, key, generation] { Attempt(key, generation); });
}

void Network::DialAgain(const Key& key, uint64_t generation) {
  Link& link = At(key);
  if (link.ends.generation != generation) return;
  link.state = State::kDown;
  if (link.wanted && world_->process(key.from).up()) Dial(key, link.backoff.NextDelayUs());
}

void Network::Attempt(const Key& key, uint64_t generation) {
  Link& link = At(key);
  Process& from = world_->process(key.from);
  if (link.ends.generation != generation || !link.wanted) return;
  if (!from.up() || from.instance() != link.ends.from_instance) return;
  const Process* to = world_->FindProcess(key.to);
  const auto again_after = [&](int64_t us) {
    world_->events().After(us, [this, key, generation] { DialAgain(key, generation); });
  };
  if (!from.running()) return again_after(100'000);
  if (Holds(key) || IsCut(key.to, key.from)) return again_after(1'000'000);
  if (to == nullptr || !to->up()) return again_after(2 * Latency(key.from, key.to, 0));

  link.ends.to_instance = to->instance();
  link.ends.from_disk = from.node()->identity().disk;
  const bus::Hello hello = OverTheWire(bus::MakeHello(from.node()->identity(), key.to, key.lane),
                                       bus::EncodeHello, bus::DecodeHello);
  world_->events().After(Latency(key.from, key.to, 0), [this, key, ends = link.ends, hello] {
    Greet(key, ends, hello, kPatience);
  });
}

// The accepting side.
void Network::Greet(const Key& key, Ends ends, const bus::Hello& hello, int patience) {
  Process& to = world_->process(key.to);
  const auto again = [&](int64_t us) {
    world_->events().After(us, [this, key, ends] { DialAgain(key, ends.generation); });
  };
  if (At(key).ends != ends) return;  // Its dialler has given this attempt up, and made another.
  if (!to.up() || to.instance() != ends.to_instance) return again(1000);
  if (!to.running()) {
    if (patience == 0) return again(0);
    world_->events().After(50'000, [this, key, ends, hello, patience] {
      Greet(key, ends, hello, patience - 1);
    });
    return;
  }
  const bus::HelloReply reply =
      OverTheWire(bus::AnswerHello(to.node()->identity(), hello), bus::EncodeHelloReply,
                  bus::DecodeHelloReply);
  if (reply.ok) {
    At(key).accepted = ends;
    to.Post(PeerUp{.hello = hello});
  } else if (bus::TakesUsForItsOwn(to.node()->identity(), hello)) {
    to.Post(PeerUp{.hello = hello, .refused = true});
  }
  if (IsCut(key.to, key.from)) return again(1'000'000);
  world_->events().After(Latency(key.to, key.from, 0),
                         [this, key, ends, reply] { Welcome(key, ends, reply); });
}

// The dialling side again.
void Network::Welcome(const Key& key, Ends ends, const bus::HelloReply& reply) {
  Link& link = At(key);
  Process& from = world_->process(key.from);
  if (link.ends != ends || from.instance() != ends.from_instance || !from.up()) return;
  const Result<void> fits = bus::CheckHelloReply(from.node()->identity(), key.to, reply);
  if (!fits) {
    world_->Say("node %lu is refused by %lu: %s", key.from.value, key.to.value,
                fits.error().message.c_str());
    return DialAgain(key, ends.generation);
  }
  link.backoff.Reset();
  link.state = State::kUp;
  link.busy_until_us = world_->now_us();
  world_->Say("link %lu -> %lu lane %d is up", key.from.value, key.to.value,
              static_cast<int>(key.lane));
  from.Post(PeerUp{.hello = HelloOf(reply, key.from, key.lane), .ours = true});
}

void Network::Break(const Key& key, uint64_t generation) {
  Link& link = At(key);
  if (link.ends.generation != generation) return;
  const bool stood = link.state == State::kUp;
  ++link.ends.generation;
  link.state = State::kDown;
  link.stalled.clear();
  Process& from = world_->process(key.from);
  if (!from.up() || from.instance() != link.ends.from_instance) return;
  if (stood) {
    world_->Say("link %lu -> %lu lane %d breaks", key.from.value, key.to.value,
                static_cast<int>(key.lane));
    from.Post(PeerDown{key.to, key.lane});
  }
  if (link.wanted) Dial(key, link.backoff.NextDelayUs());
}

void Network::Relink(NodeId id) {
  for (auto& [key, link] : links_) {
    if (key.from != id && key.to != id) continue;
    const int64_t notice_us = key.from == id ? 0 : Latency(id, key.from, 0);
    world_->events().After(notice_us, [this, key = key, generation = link.ends.generation] {
      Break(key, generation);
    });
  }
}

void Network::OnDeath(NodeId id, bool silently) {
  for (auto& [key, link] : links_) {
    if (key.from == id) {
      // Half the time what was on the way arrives all the same.
      if (world_->Chance(500'000)) link.accepted = {};
      ++link.ends.generation;
      link.state = State::kDown;
      link.wanted = false;
      link.stalled.clear();
    } else if (key.to == id) {
      const int64_t notice_us = silently ? world_->rng().Between(1'000'000, 8'000'000)
                                         : Latency(id, key.from, 0);
      world_->events().After(notice_us, [this, key = key, generation = link.ends.generation] {
        Break(key, generation);
      });
    }
  }
}

void Network::Reset(NodeId a, NodeId b) {
  for (auto& [key, link] : links_) {
    const bool between = (key.from == a && key.to == b) || (key.from == b && key.to == a);
    if (between && link.state == State::kUp) {
      link.accepted = {};
      Break(key, link.ends.generation);
    }
  }
}

void Network::CutUntold(NodeId from, NodeId to) {
  Cut(from, to);
  untold_.insert({from, to});
}

void Network::Mend(NodeId from, NodeId to) {
  cuts_.erase({from, to});
  untold_.erase({from, to});
  clogs_.erase({from, to});
  for (const bus::Lane lane : {bus::Lane::kControl, bus::Lane::kBulk}) {
    const Key key{from, to, lane};
    lane_cuts_.erase(key);
    const auto found = links_.find(key);
    if (found == links_.end()) continue;
    // TCP sends again what it has held.
    std::deque<Bytes> stalled = std::exchange(found->second.stalled, {});
    for (Bytes& body : stalled) SendTame(key, &found->second, std::move(body));
  }
}

void Network::MendAll() {
  const auto cuts = cuts_;
  for (const auto& [from, to] : cuts) Mend(from, to);
  const auto lane_cuts = lane_cuts_;
  for (const Key& key : lane_cuts) Mend(key.from, key.to);
  clogs_.clear();
}

// Frames -----------------------------------------------------------------------------------------

int64_t Network::Latency(NodeId from, NodeId to, size_t bytes) {
  const Swarm& swarm = world_->swarm();
  int64_t us = swarm.latency_us + world_->rng().Between(0, swarm.latency_us / 2);
  int64_t tail_us = swarm.latency_tail_us;
  if (calm_) tail_us = std::min(tail_us, swarm.election_timeout_ms * kUsPerMs / 4);
  if (world_->Chance(20'000)) us = world_->rng().Between(us, std::max(us, tail_us));
  const auto clog = clogs_.find({from, to});
  if (clog != clogs_.end()) us += world_->rng().Between(clog->second / 2, clog->second);
  return us + static_cast<int64_t>(bytes / 100);  // 100 bytes a microsecond.
}

void Network::Send(NodeId from, NodeId to, bus::Lane lane, BytesView frames) {
  const Key key{from, to, lane};
  Link& link = At(key);
  bus::FrameReader reader;
  reader.Append(frames);
  for (;;) {
    const Result<std::optional<BytesView>> body = reader.Next();
    CHECK_SIM(body.ok(), "node %lu sends a broken frame: %s", from.value,
              body.error().message.c_str());
    if (!*body) break;
    world_->checker().OnFrame(world_->process(from), to, **body);
    SendFrame(key, &link, **body);
  }
  CHECK_SIM(reader.buffered() == 0, "node %lu sends part of a frame", from.value);
}

void Network::SendFrame(const Key& key, Link* link, BytesView body) {
  world_->Mix(body.size());
  if (link->state != State::kUp) return;
  const Process& to = world_->process(key.to);
  if (to.up() && to.instance() != link->ends.to_instance) {
    // Nobody there knows this connection: the next packet is answered by a reset.
    const uint64_t generation = link->ends.generation;
    world_->events().After(Latency(key.to, key.from, 0),
                           [this, key, generation] { Break(key, generation); });
    return;
  }
  if (world_->swarm().harsh_links && !calm_) {
    SendHarsh(key, *link, Bytes(body));
  } else {
    SendTame(key, link, Bytes(body));
  }
}

void Network::SendTame(const Key& key, Link* link, Bytes body) {
  if (Holds(key)) {
    const bool untold = untold_.contains({key.from, key.to});
    if (link->stalled.empty() && !untold) {
      world_->events().After(world_->rng().Between(500'000, 8'000'000),
                             [this, key, generation = link->ends.generation] {
                               if (!At(key).stalled.empty()) Break(key, generation);
                             });
    }
    link->stalled.push_back(std::move(body));
    // The shell gives up a link that takes nothing any more (kControlUnsentBytesMax).
    if (link->stalled.size() > kStalledMax) Break(key, link->ends.generation);
    return;
  }
  int64_t at_us = world_->now_us() + Latency(key.from, key.to, body.size());
  at_us = std::max(at_us, link->busy_until_us);
  link->busy_until_us = at_us;
  world_->events().After(at_us - world_->now_us(),
                         [this, key, ends = link->ends, body = std::move(body)]() mutable {
                           if (At(key).accepted == ends) Arrive(key, ends, std::move(body));
                         });
}

void Network::SendHarsh(const Key& key, const Link& link, Bytes body) {
  const Swarm& swarm = world_->swarm();
  if (Holds(key)) return;
  if (world_->Chance(swarm.drop_ppm)) {
    ++world_->counters()[Count::kFramesDropped];
    return;
  }
  int copies = 1;
  if (world_->Chance(swarm.repeat_ppm)) {
    ++world_->counters()[Count::kFramesRepeated];
    ++copies;
  }
  for (; copies > 0; --copies) {
    int64_t delay_us = Latency(key.from, key.to, body.size());
    if (world_->Chance(swarm.reorder_ppm)) {
      ++world_->counters()[Count::kFramesReordered];
      delay_us += world_->rng().Between(0, 20 * swarm.latency_us);
      if (world_->Chance(50'000)) delay_us += world_->rng().Between(0, 3'000'000);
    }
    Bytes copy = copies > 1 ? body : std::move(body);
    world_->events().After(delay_us, [this, key, ends = link.ends,
                                      frame = std::move(copy)]() mutable {
      // A frame that is late may outlive its connection, but not the processes that this joined.
      const Ends& accepted = At(key).accepted;
      if (accepted.from_instance != ends.from_instance) return;
      if (accepted.to_instance != ends.to_instance || Holds(key)) return;
      Arrive(key, ends, std::move(frame));
    });
  }
}

void Network::Arrive(const Key& key, const Ends& ends, Bytes body) {
  Process& to = world_->process(key.to);
  if (!to.up() || to.instance() != ends.to_instance) return;
  world_->Mix(key.from.value * 1000 + key.to.value);
  to.Post(PeerFrame{key.from, {}, ends.from_disk}, std::move(body));
}

}  // namespace lockstep::sim
