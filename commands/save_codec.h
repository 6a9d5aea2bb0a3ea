// What the snapshots of the replicated machines have in common.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "commands/slab.h"
#include "commands/wait_ops.h"
#include "src/base/codec.h"

namespace lockstep {

// The records of a slab in the order of their `seq`.
template <class T>
std::vector<Slot<T>> InOrderOfSeq(const Slab<T>& slab) {
  std::vector<std::pair<decltype(T::seq), Slot<T>>> order;
  order.reserve(slab.size());
  for (Slot<T> s = slab.first(); s.valid(); s = slab.Next(s)) order.emplace_back(slab[s].seq, s);
  std::sort(order.begin(), order.end());
  std::vector<Slot<T>> slots;
  slots.reserve(order.size());
  for (const auto& [seq, slot] : order) slots.push_back(slot);
  return slots;
}

inline void PutBound(const std::optional<BoundTo>& bound, Writer* out) {
  out->Bool(bound.has_value());
  if (!bound) return;
  out->Put(bound->origin);
  out->Varint(bound->incarnation);
  out->Put(bound->client);
}

inline std::optional<BoundTo> GetBound(Reader* in) {
  if (!in->Bool()) return std::nullopt;
  BoundTo bound;
  bound.origin = in->Get<NodeId>();
  bound.incarnation = in->Varint();
  bound.client = in->Get<ClientId>();
  return bound;
}

}  // namespace lockstep
