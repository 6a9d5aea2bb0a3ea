// What a command handler decides: an answer now, or something for one replicated group or several.
#pragma once

#include <memory>
#include <variant>

#include "commands/task.h"
#include "src/base/ids.h"
#include "src/resp/reply.h"

namespace lockstep {

// An operation for the group's log; the machine's answer is the command's reply.
struct Propose {
  GroupId group;
  Bytes op;
  bool may_wait = false;  // The answer may be long in coming: the connection is blocked until then.
  bool binds = false;     // What it takes ends with the connection, whose end must be told.
  // The answer hands something over that is given back if nobody is there to take it.
  bool hands_over = false;
  // What is to be done if the answer is nil, or points elsewhere.
  std::unique_ptr<Task> if_nil = nullptr;
};

// A linearizable read of the group's machine (ReadIndex, no log entry).
struct Query {
  GroupId group;
  Bytes query;
};

// What several groups are asked for.
using Action = std::variant<Reply, Propose, Query, std::unique_ptr<Task>>;

}  // namespace lockstep
