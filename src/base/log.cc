#include "src/base/log.h"

namespace lockstep {
namespace {
LogSink g_sink = nullptr;
LogLevel g_level = LogLevel::kInfo;
}  // namespace

void SetLogSink(LogSink sink) { g_sink = sink; }
void SetLogLevel(LogLevel level) { g_level = level; }
bool LogEnabled(LogLevel level) { return g_sink != nullptr && level >= g_level; }
void Log(LogLevel level, BytesView line) {
  if (LogEnabled(level)) g_sink(level, line);
}

}  // namespace lockstep
