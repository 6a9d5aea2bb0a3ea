// What the node says to its operator. Pure code calls Log; the shell decides where lines go. Every
// line says why: not "vote rejected" but "refuse vote to 3: its last 1/11 is behind 1/12".
#pragma once

#include "src/base/bytes.h"

namespace lockstep {

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError };

using LogSink = void (*)(LogLevel level, BytesView line);
void SetLogSink(LogSink sink);  // Null: nowhere.
void SetLogLevel(LogLevel level);
bool LogEnabled(LogLevel level);
void Log(LogLevel level, BytesView line);

// Where one engine's narration goes: a line a decision. Traces and the simulator read it; in a node
// it is the debug log. Build lines only after asking Narrating().
class Narrator {
 public:
  virtual ~Narrator() = default;
  virtual bool Narrating() const = 0;
  virtual void Say(Bytes line) = 0;
};

}  // namespace lockstep

// Formats only when the level is on.
#define LOCKSTEP_LOG(level, ...)                                                     \
  do {                                                                               \
    if (::lockstep::LogEnabled(::lockstep::LogLevel::level))                         \
      ::lockstep::Log(::lockstep::LogLevel::level, ::lockstep::Format(__VA_ARGS__)); \
  } while (false)
