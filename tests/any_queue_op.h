// Operations on a few queues, drawn from dice: often of messages that are there.
#pragma once

#include "commands/queue_ops.h"
#include "commands/spread.h"
#include "src/base/rng.h"

namespace lockstep {

// Of a partition of a queue that has several: its home has made more and more of them, and tells
// so; most requests come by the latest version. And of a home, whose queue becomes wider.
inline Bytes AnySpreadOp(Rng* rng, uint64_t pushed) {
  constexpr uint64_t kVersions = 3;
  const Bytes queue = "spread";
  const auto chance = [rng](uint64_t percent) { return rng->Below(100) < percent; };
  const uint64_t version = chance(80) ? kVersions : rng->Below(kVersions + 1);
  const Bytes group = "g" + std::to_string(rng->Below(6));
  const Bytes id = "id" + std::to_string(rng->Below(30));
  switch (rng->Below(8)) {
    case 0: {
      Spread spread;
      spread.queue = queue;
      spread.version = rng->Below(kVersions) + 1;
      spread.before = static_cast<uint32_t>(spread.version);
      spread.options.partitions = static_cast<int64_t>(spread.version) + 1;
      spread.options.dedup_window_ms = chance(50) ? 2'000 : spread.options.dedup_window_ms;
      spread.stops_out = chance(10);
      spread.made = true;
      const Bytes encoded = spread.Encode();
      return AdoptOp{encoded, static_cast<uint32_t>(rng->Below(3))}.Encode();
    }
    case 1: {
      const std::pair<uint32_t, int64_t> wider(PartitionsOption(), rng->Between(1, 3));
      return QueueSetOp{"home", {wider}, pushed}.Encode();
    }
    case 2: return PurgeOp{queue, 0, version}.Encode();
    case 3:
    case 4: {
      PopOp op;
      op.queues = {chance(70) ? BytesView(queue) : BytesView("home")};
      op.version = op.queues.front() == queue ? version : 0;
      if (chance(50)) op.wait_ms = rng->Between(0, 800);
      op.lease_ms = rng->Between(1, 500);
      op.noack = chance(40);
      return op.Encode();
    }
    default: {
      PushOp op;
      op.queue = chance(80) ? BytesView(queue) : BytesView("home");
      op.version = op.queue == queue ? version : 0;
      op.bodies = {"body"};
      if (chance(40)) op.group = group;
      if (chance(50)) op.id = id;
      return op.Encode();
    }
  }
}

inline Bytes AnySettingOp(Rng* rng, BytesView queue) {
  const auto chance = [rng](uint64_t percent) { return rng->Below(100) < percent; };
  constexpr std::pair<uint32_t, int64_t> kValues[] = {
      {0, 300}, {1, 2},   {7, 12},  {9, 1}, {12, 2}, {13, 3},
      {10, 900}, {15, 20}, {6, 1}, {8, 24}, {11, 1'500}};
  const auto value = kValues[rng->Below(std::size(kValues))];
  const int64_t usual = QueueOptions().*AllQueueOptions()[value.first].field;
  const std::pair<uint32_t, int64_t> set(value.first, chance(50) ? value.second : usual);
  return chance(40) ? QueueSetOp{queue, {set}}.Encode()
                    : QueuePauseOp{queue, chance(10), chance(10)}.Encode();
}

inline Bytes AnyQueueOp(Rng* rng, uint64_t pushed) {
  const Bytes queue = "q" + std::to_string(rng->Below(3));
  const Bytes group = "g" + std::to_string(rng->Below(3));
  const Bytes dead = queue + "!dead";
  const auto chance = [rng](uint64_t percent) { return rng->Below(100) < percent; };
  const auto any_seq = [&] { return pushed - std::min(pushed, rng->Below(30)); };
  const Receipt receipt{any_seq(), 1 + rng->Below(3)};
  if (chance(12)) return AnySpreadOp(rng, pushed);
  switch (rng->Below(16)) {
    case 0: return QueueAckOp{queue, {receipt, {any_seq(), 1}, {any_seq(), 2}}}.Encode();
    case 1: {
      NackOp op{queue, {receipt, {any_seq(), 1}}, NackOp::How::kFailure, std::nullopt, "why"};
      op.how = static_cast<NackOp::How>(rng->Below(3));
      if (chance(50)) op.delay_ms = rng->Between(0, 500);
      return op.Encode();
    }
    case 2: return TouchOp{queue, rng->Between(1, 2000), {receipt}}.Encode();
    case 3:
      return HangupOp{NodeId{rng->Below(2) + 1}, rng->Below(40), ClientId{rng->Below(3)}}.Encode();
    case 4: return MoveOp{dead, chance(70) ? queue : Bytes("q0"), rng->Below(3)}.Encode();
    case 5: return AnySettingOp(rng, queue);
    case 6:
      if (chance(10)) {
        const auto states = static_cast<uint8_t>(rng->Below(3));
        return PurgeOp{chance(50) ? queue : dead, states}.Encode();
      }
      if (chance(10)) return DropQueueOp{queue, chance(50)}.Encode();
      return DeleteOp{queue, {any_seq()}}.Encode();
    case 7:
    case 8:
    case 9:
    case 10: {
      PopOp op;
      op.queues = {chance(80) ? queue : dead};
      if (chance(20)) op.queues.push_back("other");
      op.count = static_cast<uint32_t>(rng->Between(1, 3));
      if (chance(50)) op.wait_ms = rng->Between(0, 800);
      if (chance(50)) op.lease_ms = rng->Between(1, 2000);
      if (chance(20)) op.tied = ClientId{rng->Below(3)};
      op.noack = chance(10);
      op.full = chance(20);
      if (chance(20)) op.acks = {receipt};
      return op.Encode();
    }
    default: {
      PushOp op;
      const Bytes id = "id" + std::to_string(rng->Below(30));
      op.queue = queue;
      op.bodies = {"body"};
      op.many = chance(10);
      if (op.many) op.bodies.push_back("another");
      if (!op.many && chance(30)) op.id = id;
      if (chance(40)) op.group = group;
      if (chance(30)) op.priority = static_cast<uint8_t>(rng->Below(10));
      if (chance(20)) op.delay_ms = rng->Between(1, 1000);
      if (chance(20)) op.ttl_ms = rng->Between(1, 3000);
      if (chance(20)) op.retry = rng->Between(1, 3);
      if (chance(10)) op.headers = {{"k", "v"}};
      if (chance(5)) op.fence = rng->Below(5);
      return op.Encode();
    }
  }
}

}  // namespace lockstep
