// What may be shown of a call to those who did not make it: MONITOR, SLOWLOG, logs.
#pragma once

#include <span>
#include <vector>

#include "commands/command.h"

namespace lockstep {

// The call with "(redacted)" for passwords and all that goes with them: the arguments of AUTH,
// of HELLO ... AUTH, of ACL SETUSER, and values that CONFIG SET gives to secret settings. Borrows.
std::vector<BytesView> Redacted(const FoundCommand& found, std::span<const BytesView> argv);

}  // namespace lockstep
