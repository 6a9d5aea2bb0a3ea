// Commands on the keyspace as a whole: tasks that walk over the lines of the shards' homes.
//
// What is true of a key at some instant between question and answer is what is told of it: there
// is no instant of all keys together. A home that cannot say yet is asked again, for five seconds.
#pragma once

#include <memory>

#include "commands/cache_ops.h"
#include "commands/command.h"

namespace lockstep {

// The task, unless it is EXEC that asks.
Action OutsideExec(const Context& ctx, std::unique_ptr<Task> task);

std::unique_ptr<Task> MakeDbsizeTask(uint64_t shards);
std::unique_ptr<Task> MakeKeysTask(uint64_t shards, Bytes pattern);
// Erases every key that is there when it begins; of those written meanwhile, some.
std::unique_ptr<Task> MakeFlushTask(uint64_t shards);
std::unique_ptr<Task> MakeFlushPrefixTask(uint64_t shards, Bytes prefix);
// `dice`: any two numbers.
std::unique_ptr<Task> MakeRandomKeyTask(uint64_t shards, uint64_t dice, uint64_t more_dice);
// Looks at `count` lines or somewhat more, unless these are all.
std::unique_ptr<Task> MakeScanTask(uint64_t shards, ScanPlace from, uint32_t count, Bytes pattern);
std::unique_ptr<Task> MakeSlotCountTask(uint64_t shards, uint16_t slot);
std::unique_ptr<Task> MakeSlotKeysTask(uint64_t shards, uint16_t slot, uint64_t count);
// `here`: the map to be completed with what the home says.
std::unique_ptr<Task> MakeLineTask(uint64_t shards, Bytes key, Reply here);

}  // namespace lockstep
