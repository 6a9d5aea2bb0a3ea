#include "tests/sim/session.h"

#include <utility>

#include "tests/sim/world.h"

namespace lockstep::sim {

Session::Session(World* world) : world_(world) {}

void Session::Connect() {
  std::vector<NodeId> nodes;
  for (const auto& [id, process] : world_->processes()) {
    if (!process->removed()) nodes.push_back(id);
  }
  node_ = preferred_ != kNoNode ? preferred_ : nodes[world_->rng().Below(nodes.size())];
  open_ = false;
  reader_ = {};
  socket_ = last_socket_ = world_->wires().Open(node_, this);
  if (world_->Chance(300'000)) {
    calls_.push_front({next_number_++, EncodeCommand({"HELLO", "3"}), false,
                       [](const Reply* reply, bool) {
                         CHECK_SIM(reply == nullptr || !reply->is_error(), "HELLO is refused: %s",
                                   reply->text.c_str());
                       }});
  }
}

void Session::Call(const std::vector<Bytes>& argv, int64_t timeout_us, Done done) {
  const uint64_t number = next_number_++;
  calls_.push_back({number, EncodeCommand(argv), false, std::move(done)});
  if (socket_.value == 0) {
    Connect();
  } else if (open_ && piece_max_ == 0) {
    SendUnsent();
  } else if (open_ && !sending_soon_) {
    sending_soon_ = true;
    world_->events().After(0, [this, socket = socket_] {
      sending_soon_ = false;
      if (open_ && socket == socket_) SendUnsent();
    });
  }
  world_->events().After(timeout_us, [this, number] {
    for (const Call_& call : calls_) {
      if (call.number != number) continue;
      ++world_->counters()[Count::kClientTimeouts];
      HangUp();
      return;
    }
  });
}

void Session::SendUnsent() {
  Bytes together;
  for (Call_& call : calls_) {
    if (std::exchange(call.sent, true)) continue;
    if (piece_max_ == 0) {
      world_->wires().Send(socket_, call.bytes);
    } else {
      together += call.bytes;
    }
  }
  if (!together.empty()) world_->wires().Send(socket_, together, piece_max_);
}

void Session::HangUp() {
  if (socket_.value != 0) world_->wires().Close(socket_);
  socket_ = {};
  open_ = false;
  FailAll();
}

void Session::FailAll() {
  // Whoever is told may call again at once: that belongs to the next connection.
  for (Call_& call : std::exchange(calls_, {})) call.done(nullptr, call.sent);
}

void Session::OnOpened(ClientId socket) {
  if (socket != socket_) return;
  open_ = true;
  SendUnsent();
}

void Session::OnBytes(ClientId socket, BytesView bytes) {
  if (socket != socket_) return;
  world_->Mix(Hash64(bytes));
  reader_.Append(bytes);
  while (std::optional<Reply> reply = reader_.Next()) {
    if (reply->kind == Reply::Kind::kPush) continue;
    CHECK_SIM(!calls_.empty() && calls_.front().sent, "node %lu answers what nobody asked: %s",
              node_.value, Printable(reply->text).c_str());
    const Done done = std::move(calls_.front().done);
    calls_.pop_front();
    ++world_->counters()[Count::kCommands];
    done(&*reply, true);
    if (socket != socket_) return;  // It has hung up.
  }
}

void Session::OnClosed(ClientId socket) {
  if (socket != socket_) return;
  socket_ = {};
  open_ = false;
  FailAll();
}

}  // namespace lockstep::sim
