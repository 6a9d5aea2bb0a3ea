// Commands that this node's clients have run at the home: see ship.h.
#include <utility>

#include "cluster/mesi/agent.h"
#include "src/base/check.h"

namespace lockstep::mesi {

bool Agent::MayShip(MonoTime now, size_t bytes) const {
  return open_ && !owes_report_ && !home_hands_over_ && now < lease_until_ &&
         ships_.size() < kShipsMax && bytes <= kShipBytesMax - ship_bytes_;
}

uint64_t Agent::Ship(BytesView key, BytesView words) {
  CHECK(open_ && words.size() <= kShipBytesMax - ship_bytes_);
  const uint64_t number = ++next_ship_;
  const uint64_t said = channel_->Send({.type = MessageType::kShip,
                                        .key = key,
                                        .gen = number,
                                        .round = ship_round_,
                                        .words = words});
  ships_[number] = {Bytes(key), said, words.size()};
  ship_bytes_ += words.size();
  ++stats_->ships_sent;
  return number;
}

bool Agent::OnShipReply(const Message& reply) {
  if (reply.keeps) {
    const bool goes_on = std::exchange(home_hands_over_, reply.have) && !reply.have;
    if (reply.have) channel_->Acknowledge();
    RefuseShips();
    if (goes_on) listener_->OnLost();
    return true;
  }
  const auto found = ships_.find(reply.gen);
  if (found == ships_.end() || found->second.key != reply.key) return false;
  ship_bytes_ -= found->second.bytes;
  ships_.erase(found);
  listener_->OnShipped(reply.gen, {.outcome = Shipped::Outcome::kRun,
                                   .key = reply.key,
                                   .words = reply.words,
                                   .contended = reply.have});
  return true;
}

// What is answered was answered before this came.
void Agent::RefuseShips() {
  ++ship_round_;
  ship_bytes_ = 0;
  for (const auto& [number, ship] : std::exchange(ships_, {})) {
    listener_->OnShipped(number, {.outcome = Shipped::Outcome::kRefused, .key = ship.key});
  }
}

// What has not left with the session never will.
void Agent::LoseShips() {
  ship_round_ = 0;
  ship_bytes_ = 0;
  for (const auto& [number, ship] : std::exchange(ships_, {})) {
    const bool has_left = ship.said <= channel_->left();
    stats_->ships_lost += has_left ? 1 : 0;
    listener_->OnShipped(number, {.outcome = has_left ? Shipped::Outcome::kLost
                                                      : Shipped::Outcome::kRefused,
                                  .key = ship.key});
  }
}

}  // namespace lockstep::mesi
