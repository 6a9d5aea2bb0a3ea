// The larger subcommands of CLIENT, each family of them in a file of its own; the row that names
// them is in commands/client_command.cc.
#pragma once

#include "commands/command.h"
#include "commands/host.h"

namespace lockstep {

// commands/client_list.cc
Action ClientInfo(Context& ctx, Args& args);
Action ClientList(Context& ctx, Args& args);
Action ClientKill(Context& ctx, Args& args);

// commands/client_tracking.cc
Action ClientTracking(Context& ctx, Args& args);
Action ClientTrackinginfo(Context& ctx, Args& args);
Action ClientCaching(Context& ctx, Args& args);
Action ClientGetredir(Context& ctx, Args& args);

// One line of CLIENT LIST, without the newline: Redis 7.0's fields in its order, then 7.2's library
// fields, then ours.
Bytes ClientLine(const Client& client, MonoTime now);

}  // namespace lockstep
