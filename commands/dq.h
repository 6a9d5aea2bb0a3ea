// The handlers of the DQ.* commands, for their rows (commands/dq_table.cc).
#pragma once

#include "commands/command.h"

namespace lockstep {

Action DqPush(Context& ctx, Args& args);
Action DqMpush(Context& ctx, Args& args);
Action DqPop(Context& ctx, Args& args);
Action DqAck(Context& ctx, Args& args);
Action DqNack(Context& ctx, Args& args);
Action DqTouch(Context& ctx, Args& args);
Action DqSet(Context& ctx, Args& args);
Action DqPause(Context& ctx, Args& args);
Action DqPurge(Context& ctx, Args& args);
Action DqDrop(Context& ctx, Args& args);
Action DqDel(Context& ctx, Args& args);
Action DqMove(Context& ctx, Args& args);
Action DqLen(Context& ctx, Args& args);
Action DqInfo(Context& ctx, Args& args);
Action DqPeek(Context& ctx, Args& args);
Action DqList(Context& ctx, Args& args);

}  // namespace lockstep
