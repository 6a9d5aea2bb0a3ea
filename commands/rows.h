// Rows of the commands whose subcommands fill a file of their own; their family copies them.
#pragma once

#include "commands/command.h"

namespace lockstep {

CommandSpec ClientCommand();   // commands/client_command.cc
CommandSpec CommandCommand();  // commands/command_command.cc
CommandSpec ConfigCommand();   // commands/config_command.cc
CommandSpec SlowlogCommand();  // commands/slowlog_command.cc
CommandSpec LatencyCommand();  // commands/latency.cc
CommandSpec MemoryCommand();   // commands/memory.cc
CommandSpec DebugCommand();    // commands/debug.cc
CommandSpec ObjectCommand();   // commands/object.cc

}  // namespace lockstep
