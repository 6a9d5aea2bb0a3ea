#include "src/io/peer_door.h"

#include "src/base/log.h"

namespace lockstep::io {
namespace {

constexpr int64_t kSameComplaintEveryUs = 60 * kUsPerSecond;
constexpr int kComplaintsMax = 20;  // In that time.
constexpr int64_t kKeepAliveSeconds =
    15;  // A peer that vanished without a word leaves a socket here.

Bytes EncodeReply(const bus::HelloReply& reply) {
  Bytes body;
  Writer writer(&body);
  bus::EncodeHelloReply(reply, &writer);
  Bytes frame;
  bus::AppendFrame(body, &frame);
  return frame;
}

}  // namespace

// A connection that somebody dialled: a stranger until greeted_, then a peer. The functions that
// end it destroy it: after End or Remove nothing of it may be touched.
class PeerDoor::Guest final : private TcpConn::Events {
 public:
  Guest(PeerDoor* door, uint64_t number)
      : door_(door),
        number_(number),
        conn_(door->loop_, this),
        reader_(bus::kHelloBytesMax),
        timer_(door->loop_, [this] { End("no hello in time"); }) {}

  Result<void> Accept(uv_stream_t* from) {
    if (const auto accepted = conn_.Accept(from); !accepted) return accepted.error();
    conn_.KeepAlive(kKeepAliveSeconds);
    timer_.Start(door_->handshake_us_);
    conn_.Read();
    return {};
  }
  bool is_from(NodeId id) const { return greeted_ && hello_.from == id; }
  bool replaces(const Guest& older) const {
    return this != &older && older.greeted_ && older.hello_.from == hello_.from &&
           older.hello_.lane == hello_.lane;
  }

 private:
  std::span<char> Room() override { return {reader_.Reserve(kReadBytes), kReadBytes}; }

  // A frame may be split over many reads, and one read may hold many frames.
  void OnBytes(size_t bytes) override {
    if (refused_) return;
    reader_.Commit(bytes);
    for (;;) {
      const auto body = reader_.Next();
      if (!body) return End(body.error().message);
      if (!body->has_value()) return;
      if (greeted_) {
        door_->port_->Step(
            PeerFrame{.from = hello_.from, .body = **body, .disk = hello_.disk});
      } else if (!Greet(**body)) {
        return;
      }
    }
  }

  // False: this connection goes no further.
  bool Greet(BytesView body) {
    const auto hello = bus::DecodeHello(body);
    if (!hello) {
      End(hello.error().message);
      return false;
    }
    const bus::Identity me = door_->port_->identity();
    const bus::HelloReply reply = bus::AnswerHello(me, *hello);
    conn_.Write(EncodeReply(reply));
    if (!reply.ok) {
      // The answer leaves first; the one who dialled closes when it has read it, or the timer
      // does.
      refused_ = true;
      door_->Complain(Format("node %llu at %s", static_cast<unsigned long long>(hello->from.value),
                             conn_.Remote().text.c_str()),
                      "refused, and told: " + reply.reason);
      conn_.FinishWriting();
      if (bus::TakesUsForItsOwn(me, *hello)) {
        door_->port_->Step(PeerUp{.hello = *hello, .refused = true});
      }
      return false;
    }
    timer_.Stop();
    hello_ = *hello;
    if (hello_.bus_host.empty()) hello_.bus_host = conn_.Remote().host;
    greeted_ = true;
    reader_.set_body_bytes_max(kFrameBodyBytesMax);
    door_->CloseOlder(*this);
    door_->port_->Step(PeerUp{.hello = hello_});
    return true;
  }

  void OnEnd(const Bytes& why) override {
    if (!why.empty() && greeted_) return End(why);
    door_->Remove(number_);  // It has closed, as peers do that stop or were refused.
  }

  void End(const Bytes& why) {
    if (!refused_) {
      const Bytes who =
          greeted_ ? Format("node %llu at ", static_cast<unsigned long long>(hello_.from.value))
                   : Bytes("whoever is at ");
      door_->Complain(who + conn_.Remote().text, why);
    }
    door_->Remove(number_);
  }

  PeerDoor* door_;
  const uint64_t number_;
  TcpConn conn_;
  bus::FrameReader reader_;
  Timer timer_;
  bus::Hello hello_;
  bool greeted_ = false;
  bool refused_ = false;
};

PeerDoor::PeerDoor(Loop* loop, NodePort* port, int64_t handshake_us)
    : loop_(loop),
      port_(port),
      handshake_us_(handshake_us),
      listener_(loop, [this](uv_stream_t* from) { Accept(from); }) {}
PeerDoor::~PeerDoor() = default;

Result<void> PeerDoor::Listen(std::span<const Bytes> addresses, uint16_t port, int64_t backlog) {
  return listener_.Listen(addresses, port, backlog);
}

void PeerDoor::CloseAll() {
  guests_.clear();
}

void PeerDoor::Cut(NodeId id) {
  std::erase_if(guests_, [id](const auto& entry) { return entry.second->is_from(id); });
}

void PeerDoor::Close() {
  listener_.Close();
  CloseAll();
}

// A connection over the limit is taken and dropped at once: left in the kernel's queue it would
// stand before a peer's.
void PeerDoor::Accept(uv_stream_t* from) {
  latest_ += 1;
  auto guest = std::make_unique<Guest>(this, latest_);
  const auto accepted = guest->Accept(from);
  if (!accepted || guests_.size() >= kConnectionsMax) return;
  guests_.emplace(latest_, std::move(guest));
}

// The peer has given the older link up (it dials only when it has none), but the news may still be
// on its way: bytes of the older one must not arrive after those of the newer.
void PeerDoor::CloseOlder(const Guest& newest) {
  std::erase_if(guests_, [&newest](const auto& entry) { return newest.replaces(*entry.second); });
}

void PeerDoor::Remove(uint64_t number) {
  guests_.erase(number);
}

void PeerDoor::Complain(const Bytes& who, const Bytes& why) {
  const MonoTime now = loop_->Now();
  if (why == complaint_ && now - complained_ < kSameComplaintEveryUs) return;
  complaint_ = why;
  complained_ = now;
  if (now - complaints_since_ >= kSameComplaintEveryUs) {
    complaints_since_ = now;
    complaints_ = 0;
  }
  if (complaints_ >= kComplaintsMax) return;
  const bool last = ++complaints_ == kComplaintsMax;
  LOCKSTEP_LOG(kWarn, "bus: %s: %s%s", who.c_str(), Printable(why, 600).c_str(),
               last ? "; more of this minute is not told" : "");
}

}  // namespace lockstep::io
