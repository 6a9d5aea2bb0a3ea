// Where log lines go: standard output or a file, as text for people or JSON for machines.
//
// JSON follows ECS (one object a line). Whatever a line holds, it stays one line and, as JSON,
// valid: names that clients choose end up in here (spdlog's own JSON patterns escape nothing).
//
// Log() may be called on any thread between StartLogging and StopLogging.
#pragma once

#include "src/base/log.h"
#include "src/base/result.h"
#include "src/settings.h"

namespace lockstep::io {

// `node` is told in each JSON line. An error: the file cannot be opened.
Result<void> StartLogging(const Settings& settings);
// For logrotate: the file by its name again. Says so in the log if that fails, and goes on with
// the old.
void ReopenLog();
void StopLogging();

// One line without its end. `wall_us` is since 1970.
Bytes TextLine(LogLevel level, BytesView line, int64_t wall_us);
Bytes JsonLine(LogLevel level, BytesView line, int64_t wall_us, int64_t node);

}  // namespace lockstep::io
