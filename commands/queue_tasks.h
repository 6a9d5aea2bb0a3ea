// Commands on queues that several shards have a part in: queues with several partitions, receipts
// of several shards, a POP of queues here and there.
#pragma once

#include <memory>

#include "commands/spread.h"
#include "commands/task.h"

namespace lockstep {

// What tasks are made with.
struct QueueTaskContext {
  Spreads* spreads = nullptr;
  uint64_t shards = 1;
};

// `encoded`: an operation or a query of a queue (queue_ops.h). `elsewhere`: what was answered to it
// where it was asked first, if it was. Null: it is none that could be asked elsewhere.
std::unique_ptr<Task> MakeQueueTask(const QueueTaskContext& context, Bytes encoded,
                                    const Reply* elsewhere = nullptr);

// DQ.PEEK that begins in that partition.
std::unique_ptr<Task> MakePeekTask(const QueueTaskContext& context, Bytes encoded,
                                   uint32_t partition);
std::unique_ptr<Task> MakePushTask(const QueueTaskContext& context, Bytes encoded,
                                   const Reply* elsewhere);
// DQ.POP that acknowledges first, by these parts.
std::unique_ptr<Task> MakePopTask(const QueueTaskContext& context, Bytes encoded,
                                  std::vector<Task::Part> acks, const Reply* elsewhere = nullptr);

// Asks all at once. The answer is the sum of theirs.
std::unique_ptr<Task> MakeSumTask(std::vector<Task::Part> parts);
// The answer has `size` places; the items of the part's answer go to those that it names.
std::unique_ptr<Task> MakePlacesTask(std::vector<Task::Part> parts,
                                     std::vector<std::vector<size_t>> places, size_t size);

// Whether a push goes straight to its partition: which, if so; none: a task has to find it.
std::optional<uint32_t> StraightTo(Spreads::Known* known, const PushOp& op);

}  // namespace lockstep
