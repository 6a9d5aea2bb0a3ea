#include "src/io/peer_links.h"

#include <cstring>

#include "src/base/log.h"
#include "src/io/listener.h"

namespace lockstep::io {
namespace {

constexpr int64_t kSameTroubleEveryUs = 60 * kUsPerSecond;
constexpr size_t kAddressesMax = 16;  // Of one name.
constexpr int64_t kKeepAliveSeconds = 5;  // Of silence, for the lane that may have nothing to say.

size_t UnsentBytesMax(bus::Lane lane) {
  return lane == bus::Lane::kControl ? kControlUnsentBytesMax : kBulkUnsentBytesMax;
}

// A peer's answer says what its hello would.
bus::Hello HelloOf(const bus::HelloReply& reply, NodeId to, bus::Lane lane) {
  return {.protocol_min = reply.protocol,
          .protocol_max = reply.protocol,
          .cluster = reply.cluster,
          .from = reply.from,
          .to = to,
          .disk = reply.disk,
          .incarnation = reply.incarnation,
          .lane = lane,
          .server_version = reply.server_version,
          .host = reply.host,
          .client_port = reply.client_port,
          .bus_host = {},  // We have dialled it: we know.
          .bus_port = 0,
          .zone = reply.zone};
}

// One look-up of a name on libuv's threads. Destroyed, it calls no more.
class Lookup {
 public:
  using Addresses = std::vector<sockaddr_storage>;
  using Done = std::function<void(Result<Addresses>)>;

  Lookup(Loop* loop, const Bytes& host, uint16_t port, Done done) : request_(new Request) {
    request_->owner = this;
    request_->uv.data = request_;
    done_ = std::move(done);
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    const int begun = uv_getaddrinfo(loop->uv(), &request_->uv, OnFound, host.c_str(),
                                     Format("%u", port).c_str(), &hints);
    if (begun != 0) delete std::exchange(request_, nullptr);
  }
  ~Lookup() {
    if (request_ == nullptr) return;
    request_->owner = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&request_->uv));  // Under way already: it ends by itself.
  }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  bool begun() const { return request_ != nullptr; }

 private:
  struct Request {
    uv_getaddrinfo_t uv;
    Lookup* owner;
  };

  static void OnFound(uv_getaddrinfo_t* uv, int status, addrinfo* found) {
    const std::unique_ptr<Request> request(static_cast<Request*>(uv->data));
    Addresses addresses;
    for (const addrinfo* at = found; at != nullptr && addresses.size() < kAddressesMax;
         at = at->ai_next) {
      std::memcpy(&addresses.emplace_back(), at->ai_addr, at->ai_addrlen);
    }
    uv_freeaddrinfo(found);
    if (request->owner == nullptr) return;
    request->owner->request_ = nullptr;
    const Done done = std::move(request->owner->done_);  // May destroy the owner.
    if (status != 0) {
      done(Error{uv_strerror(status)});
    } else {
      done(std::move(addresses));
    }
  }

  Request* request_;
  Done done_;
};

}  // namespace

// One lane to one peer, in one of four states: waiting (timer_ runs, nothing else), dialling
// (timer_ limits lookup_, conn_ and the handshake), up, or inside Drop between two of them.
class PeerLinks::Link final : public TcpConn::Events {
 public:
  Link(PeerLinks* links, Peer* peer, bus::Lane lane)
      : links_(links),
        peer_(peer),
        lane_(lane),
        backoff_(&links->rng_),
        timer_(links->loop_, [this] { OnTimer(); }) {
    Dial();
  }

  // The limit is tested before the bytes are added, so that a frame of any allowed size passes
  // when the peer keeps up.
  void Send(Bytes frames) {
    if (!up_) return;
    if (conn_->backlog() > UnsentBytesMax(lane_)) {
      return Break(
          Format("%zu bytes wait unsent, %zu may", conn_->backlog(), UnsentBytesMax(lane_)));
    }
    conn_->Write(std::move(frames));
  }

  void Cut() { Break("cut: what it sent makes no sense"); }

  // Nobody needs this link any more.
  void GiveUp() { Drop(); }

  // It may lead nowhere. One that is being dialled will show by itself.
  void Doubt() {
    if (up_) Redial();
  }

  // Begins anew at once, without a step back for it: nothing has failed.
  void Redial() {
    Drop();
    Dial();
  }

 private:
  void Dial() {
    timer_.Start(kHandshakeUsMax);
    dialling_ = true;
    const PeerAddress& peer = peer_->address;
    if (const auto numeric = NumericAddress(peer.host, peer.bus_port)) return Connect(*numeric);
    lookup_ = std::make_unique<Lookup>(
        links_->loop_, peer.host, peer.bus_port,
        [this](Result<Lookup::Addresses> found) { OnResolved(std::move(found)); });
    if (!lookup_->begun()) Break("the name cannot be looked up");
  }

  void OnResolved(Result<Lookup::Addresses> found) {
    lookup_.reset();
    if (!found) return Break(found.error().message);
    if (found->empty()) return Break("the name has no address");
    // The next one at each dial: a name may have an address that nobody answers.
    Connect((*found)[dials_++ % found->size()]);
  }

  void Connect(const sockaddr_storage& address) {
    reader_ = bus::FrameReader(bus::kHelloBytesMax);
    conn_ = std::make_unique<TcpConn>(links_->loop_, this);
    conn_->Connect(address);
  }

  // The identity is asked for at this moment: it may have changed since the dial began.
  void OnConnected() override {
    Bytes body;
    Writer writer(&body);
    bus::EncodeHello(bus::MakeHello(links_->port_->identity(), peer_->address.id, lane_), &writer);
    Bytes frame;
    bus::AppendFrame(body, &frame);
    conn_->KeepAlive(kKeepAliveSeconds);
    conn_->LimitSilence(kSilenceUsMax);
    conn_->Write(std::move(frame));
    conn_->Read();
  }

  std::span<char> Room() override {
    return {reader_.Reserve(bus::kHelloBytesMax), bus::kHelloBytesMax};
  }

  void OnBytes(size_t bytes) override {
    reader_.Commit(bytes);
    do {
      const auto body = reader_.Next();
      if (!body) return Break(body.error().message);
      if (!body->has_value()) return;
      if (up_) return Break("it speaks on a link that is ours to speak on");
      OnHelloReply(**body);
    } while (up_);
  }

  // Only now is the back-off reset: a peer that accepts and then refuses would otherwise be
  // dialled in a tight loop.
  void OnHelloReply(BytesView body) {
    const auto reply = bus::DecodeHelloReply(body);
    if (!reply) return Break(reply.error().message);
    const NodeId to = peer_->address.id;
    const bus::Identity me = links_->port_->identity();
    if (const auto fits = bus::CheckHelloReply(me, to, *reply); !fits) {
      return Break(fits.error().message);
    }
    timer_.Stop();
    dialling_ = false;
    up_ = true;
    backoff_.Reset();
    peer_->trouble.clear();
    if (lane_ == bus::Lane::kControl) {
      LOCKSTEP_LOG(kInfo, "link to node %llu is up", static_cast<unsigned long long>(to.value));
    }
    links_->port_->Step(PeerUp{.hello = HelloOf(*reply, me.node, lane_), .ours = true});
  }

  void OnEnd(const Bytes& why) override { Break(why.empty() ? "it has closed the link" : why); }

  void OnTimer() {
    if (!dialling_) return Dial();
    Break(Format("no handshake within %ld s", kHandshakeUsMax / kUsPerSecond));
  }

  // Whatever went wrong, and at whatever step: say why, forget the attempt, dial again later.
  void Break(const Bytes& why) {
    links_->Complain(peer_, up_ ? "the link broke: " + why : why);
    Drop();
    timer_.Start(backoff_.NextDelayUs());
  }

  // The node is told of the loss only when there was a link to lose.
  void Drop() {
    lookup_.reset();
    conn_.reset();
    dialling_ = false;
    timer_.Stop();
    if (std::exchange(up_, false)) links_->port_->Step(PeerDown{peer_->address.id, lane_});
  }

  PeerLinks* links_;
  Peer* peer_;
  const bus::Lane lane_;
  bus::Backoff backoff_;
  Timer timer_;  // Until the handshake is over, or of the wait before the next dial.
  bool dialling_ = false;
  bool up_ = false;
  size_t dials_ = 0;
  std::unique_ptr<Lookup> lookup_;
  bus::FrameReader reader_;
  std::unique_ptr<TcpConn> conn_;
};

PeerLinks::PeerLinks(Loop* loop, NodePort* port, uint64_t seed)
    : loop_(loop), port_(port), rng_(seed) {}
PeerLinks::~PeerLinks() = default;

// A peer whose address has changed is dialled anew; the links of one that has not stay as they are,
// unless the node doubts them.
void PeerLinks::SetPeers(const std::vector<PeerAddress>& peers) {
  std::map<NodeId, Peer> kept;
  for (const PeerAddress& address : peers) {
    const auto old = peers_.find(address.id);
    if (old != peers_.end() && old->second.address.host == address.host &&
        old->second.address.bus_port == address.bus_port) {
      Peer& peer = old->second;
      const bool doubted = std::exchange(peer.address.dials, address.dials) != address.dials;
      kept.insert(peers_.extract(old));  // The peer stays where it is: links point to it.
      for (const auto& link : peer.lanes) {
        if (doubted) link->Doubt();
      }
    } else {
      kept[address.id].address = address;
    }
  }
  for (auto& [id, peer] : peers_) {
    for (const auto& link : peer.lanes) link->GiveUp();
  }
  peers_ = std::move(kept);
  for (auto& [id, peer] : peers_) {
    for (const bus::Lane lane : {bus::Lane::kControl, bus::Lane::kBulk}) {
      std::unique_ptr<Link>& link = peer.lanes[static_cast<size_t>(lane)];
      if (link == nullptr) link = std::make_unique<Link>(this, &peer, lane);
    }
  }
}

void PeerLinks::Relink() {
  for (auto& [id, peer] : peers_) {
    for (const auto& link : peer.lanes) link->Redial();
  }
}

void PeerLinks::Cut(NodeId id) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  for (const auto& link : peer->second.lanes) link->Cut();
}

void PeerLinks::Send(Output::ToPeer frames) {
  const auto peer = peers_.find(frames.to);
  if (peer == peers_.end()) return;
  peer->second.lanes[static_cast<size_t>(frames.lane)]->Send(std::move(frames.frames));
}

// A link that flaps between two troubles says both each time: that is news to an operator.
void PeerLinks::Complain(Peer* peer, const Bytes& why) {
  const MonoTime now = loop_->Now();
  if (why == peer->trouble && now - peer->trouble_logged < kSameTroubleEveryUs) return;
  peer->trouble = why;
  peer->trouble_logged = now;
  LOCKSTEP_LOG(kWarn, "node %llu at %s:%u: %s",
               static_cast<unsigned long long>(peer->address.id.value), peer->address.host.c_str(),
               peer->address.bus_port, Printable(why, 600).c_str());
}

}  // namespace lockstep::io
