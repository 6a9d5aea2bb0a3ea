// What the tasks on a queue have in common: where its partitions are, as far as this node has
// heard, and following where an answer points.
#pragma once

#include "commands/queue_tasks.h"
#include "src/base/hash.h"

namespace lockstep {

inline Reply StillMoving() {
  return Reply::Error("TRYAGAIN", "the partitions of the queue are changing; nothing was changed, "
                                  "try again in a moment");
}

// A part has failed after others have done theirs: the whole is neither done nor undone.
inline Reply PartlyDone(const Reply& error) {
  return Reply::Error("UNCERTAIN", "part of it was done, part was not, for: " + error.text);
}

// Of several errors the one that leaves more open is told.
inline void KeepWorse(const Reply& error, std::optional<Reply>* kept) {
  if (!*kept || !(*kept)->text.starts_with("UNCERTAIN")) *kept = error;
}

class Partitions {
 public:
  // So often an answer is followed; more would be a cluster that does not come to rest.
  static constexpr int kTurnsMax = 16;

  Partitions(const QueueTaskContext& context, BytesView name)
      : context_(context), queue_(SideOf(name).queue) {}

  Spreads::Known* known() const { return context_.spreads->Find(queue_); }
  uint32_t count() const { return known() == nullptr ? 1 : known()->spread.partitions(); }
  uint64_t version() const { return known() == nullptr ? 0 : known()->spread.version; }
  GroupId GroupOf(uint32_t partition) const {
    const uint64_t home = ShardOfSlot(SlotOf(queue_), context_.shards);
    return ShardGroup(ShardOfPartition(home, partition, context_.shards));
  }
  // Before what is asked under this version comes the version.
  void Tell(uint32_t partition, Task::Next* next) const {
    Spreads::Known* known = this->known();
    if (known == nullptr || partition >= known->told.size() || known->told[partition]) {
      return;
    }
    context_.spreads->Told(known, partition);
    next->ask.push_back(Adoption(partition));
    next->ask.back().unheard = true;
  }
  Task::Part Adoption(uint32_t partition) const {
    const Bytes spread = known()->spread.Encode();
    return {.group = GroupOf(partition), .op = AdoptOp{spread, partition}.Encode()};
  }
  // Whether to ask again: the answer points elsewhere, and that has not gone on for too long.
  bool Follow(const Reply& elsewhere) {
    switch (static_cast<Elsewhere>(elsewhere.integer)) {
      case Elsewhere::kSpread:
      case Elsewhere::kDone:
        context_.spreads->Learn(elsewhere.text);
        break;
      case Elsewhere::kBehind:  // It was told in vain.
        if (known() != nullptr) context_.spreads->Untold(known());
        break;
      case Elsewhere::kMoved:
      case Elsewhere::kSettled:
        break;
    }
    return ++turns_ < kTurnsMax;
  }
  Spreads& spreads() const { return *context_.spreads; }

 private:
  QueueTaskContext context_;
  Bytes queue_;
  int turns_ = 0;
};

}  // namespace lockstep
