#include "tests/sim/wires.h"

#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

namespace lockstep::sim {

int64_t Wires::InOrder(int64_t* last_us, int64_t delay_us) {
  *last_us = std::max(*last_us, world_->now_us() + delay_us);
  return *last_us - world_->now_us();
}

bool Wires::NodeHas(const Socket& socket) const {
  const Process& process = world_->process(socket.node);
  return socket.node_open && process.up() && process.instance() == socket.instance;
}

void Wires::NoteClosed(Socket* socket) {
  socket->closed_at_fast_us = std::min(socket->closed_at_fast_us, world_->FastUs());
}

int64_t Wires::closed_at_fast_us(ClientId socket) const {
  if (socket.value == 0) return 0;  // There never was one.
  return sockets_.at(socket).closed_at_fast_us;
}

// The client's side ------------------------------------------------------------------------------

ClientId Wires::Open(NodeId to, ClientEnd* end) {
  const ClientId id{next_++};
  Socket& socket = sockets_[id];
  socket.node = to;
  socket.end = end;
  socket.lazy = world_->Chance(10'000) && !calm_;
  world_->events().After(world_->rng().Between(50, 500), [this, id] { Accept(id); });
  return id;
}

void Wires::Accept(ClientId id) {
  Socket& socket = sockets_.at(id);
  if (!socket.client_open) return;
  Process* process = world_->FindProcess(socket.node);
  if (process == nullptr || !process->up() || cut_off_.contains(socket.node)) {
    NoteClosed(&socket);
    return CloseClientSide(id, world_->rng().Between(100, 20'000));
  }
  // The kernel accepts for a process that stands still as well.
  socket.instance = process->instance();
  socket.node_open = true;
  process->Post(ClientOpened{id, Format("10.0.0.1:%lu", id.value % 60'000 + 1), "10.0.0.2:7379",
                             true});
  world_->events().After(world_->rng().Between(50, 500), [this, id] {
    Socket& opened = sockets_.at(id);
    if (opened.client_open) opened.end->OnOpened(id);
  });
}

void Wires::Send(ClientId id, BytesView bytes, size_t piece_max) {
  Socket& socket = sockets_.at(id);
  // TCP keeps the bytes, not how they were cut up.
  while (!bytes.empty()) {
    size_t n = bytes.size();
    if (world_->Chance(100'000)) n = world_->rng().Below(n) + 1;
    if (piece_max > 0) n = std::min(bytes.size(), world_->rng().Below(piece_max) + 1);
    const int64_t delay_us = InOrder(&socket.to_node_at_us, world_->rng().Between(30, 300));
    world_->events().After(delay_us, [this, id, piece = Bytes(bytes.substr(0, n))]() mutable {
      ToNode(id, std::move(piece));
    });
    bytes.remove_prefix(n);
  }
}

void Wires::ToNode(ClientId id, Bytes bytes) {
  Socket& socket = sockets_.at(id);
  if (!NodeHas(socket) || socket.cut) return;
  if (!socket.reading) {
    socket.unread += bytes;
    return;
  }
  world_->process(socket.node).Post(ClientData{id, {}}, std::move(bytes));
}

void Wires::StopReading(ClientId id) { sockets_.at(id).reading = false; }

void Wires::ReadAgain(ClientId id) {
  Socket& socket = sockets_.at(id);
  socket.reading = true;
  Bytes unread = std::exchange(socket.unread, {});
  if (!unread.empty()) ToNode(id, std::move(unread));
}

void Wires::Close(ClientId id) {
  Socket& socket = sockets_.at(id);
  if (!socket.client_open) return;
  socket.client_open = false;
  NoteClosed(&socket);
  CloseNodeSide(id, InOrder(&socket.to_node_at_us, world_->rng().Between(30, 300)));
}

void Wires::CloseNodeSide(ClientId id, int64_t after_us) {
  world_->events().After(after_us, [this, id] {
    Socket& socket = sockets_.at(id);
    if (NodeHas(socket)) world_->process(socket.node).Post(ClientClosed{id});
    socket.node_open = false;
  });
}

void Wires::CloseClientSide(ClientId id, int64_t after_us) {
  world_->events().After(after_us, [this, id] {
    Socket& socket = sockets_.at(id);
    if (!socket.client_open) return;
    socket.client_open = false;
    socket.end->OnClosed(id);
  });
}

// The node's side --------------------------------------------------------------------------------

void Wires::FromNode(ClientId id, Bytes bytes, bool close) {
  Socket& socket = sockets_.at(id);
  if (std::exchange(socket.closing, socket.closing || close)) return;  // Gone, as in src/io.
  socket.backlog += bytes.size();
  int64_t delay_us = world_->rng().Between(30, 300);
  if (socket.lazy) {
    delay_us = world_->rng().Between(1000, 2'000'000);
    world_->process(socket.node).Post(ClientBacklog{id, socket.backlog});
  }
  delay_us = InOrder(&socket.to_client_at_us, delay_us);
  if (close) NoteClosed(&socket);
  world_->events().After(delay_us, [this, id, close, bytes = std::move(bytes)]() mutable {
    ToClient(id, std::move(bytes), close);
  });
}

void Wires::ToClient(ClientId id, Bytes bytes, bool close) {
  Socket& socket = sockets_.at(id);
  socket.backlog -= bytes.size();
  if (socket.lazy && NodeHas(socket)) {
    world_->process(socket.node).Post(ClientBacklog{id, socket.backlog});
  }
  const bool reaches = socket.client_open && !socket.cut;
  if (reaches && !bytes.empty()) socket.end->OnBytes(id, bytes);
  if (!close) return;
  CloseNodeSide(id, 100);
  CloseClientSide(id, 0);
}

void Wires::OnDeath(NodeId id) {
  const Process& process = world_->process(id);
  for (auto& [number, socket] : sockets_) {
    if (socket.node != id || !socket.node_open || socket.instance != process.instance()) continue;
    socket.node_open = false;
    if (!socket.client_open) continue;
    NoteClosed(&socket);
    // What was sent before may still come; some clients notice only when they ask next.
    const int64_t notice_us = world_->rng().Between(100, 200'000);
    CloseClientSide(number, InOrder(&socket.to_client_at_us, notice_us));
  }
}

void Wires::CutOff(NodeId id) {
  cut_off_.insert(id);
  for (auto& [number, socket] : sockets_) {
    if (socket.node != id || !socket.client_open || !socket.node_open) continue;
    socket.cut = true;
    NoteClosed(&socket);
    CloseClientSide(number, world_->rng().Between(1000, 500'000));
    CloseNodeSide(number, world_->rng().Between(1000, 6'000'000));
  }
}

}  // namespace lockstep::sim
