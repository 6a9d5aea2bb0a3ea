#include "src/io/logging.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <mutex>

#include "src/io/system.h"

namespace lockstep::io {
namespace {

constexpr BytesView kLevelNames[] = {"trace", "debug", "info", "warn", "error"};

BytesView NameOf(LogLevel level) {
  return kLevelNames[static_cast<size_t>(level)];
}

// 2026-03-14T15:09:26.535Z.
Bytes Timestamp(int64_t wall_us) {
  const time_t seconds = wall_us / kUsPerSecond;
  tm utc = {};
  ::gmtime_r(&seconds, &utc);
  return Format("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                static_cast<int>(wall_us % kUsPerSecond / kUsPerMs));
}

bool IsPlain(char c) {
  return c >= ' ' && c <= '~';
}

// One for the process, as Log() is.
struct Destination {
  std::mutex mutex;
  std::shared_ptr<spdlog::sinks::sink> sink;  // Null: nowhere.
  Bytes file;                                 // Empty: standard output.
  bool json = false;
  int64_t node = 0;
};
Destination& TheDestination() {
  static Destination destination;
  return destination;
}

std::shared_ptr<spdlog::sinks::sink> OpenSink(const Bytes& file) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (file.empty()) {
    sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  } else {
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
  }
  sink->set_pattern("%v");  // We have formatted the line ourselves.
  return sink;
}

void WriteLine(LogLevel level, BytesView line) {
  const int64_t now_us = WallClockUs();
  Destination& to = TheDestination();
  const std::lock_guard lock(to.mutex);
  if (to.sink == nullptr) return;
  const Bytes text =
      to.json ? JsonLine(level, line, now_us, to.node) : TextLine(level, line, now_us);
  // A log that cannot be written (its disk is full) must not stop a node that can work.
  try {
    to.sink->log(spdlog::details::log_msg("", spdlog::level::info, text));
    to.sink->flush();  // Each line: who kills a node wants to read its last one.
  } catch (const spdlog::spdlog_ex&) {
  }
}

}  // namespace

Result<void> StartLogging(const Settings& settings) {
  Destination& to = TheDestination();
  {
    const std::lock_guard lock(to.mutex);
    to.file = settings.logfile;
    to.node = settings.node_id;
    const bool terminal = settings.logfile.empty() && ::isatty(STDOUT_FILENO) == 1;
    to.json = settings.log_format == LogFormat::kJson ||
              (settings.log_format == LogFormat::kAuto && !terminal);
    try {
      to.sink = OpenSink(to.file);
    } catch (const spdlog::spdlog_ex& error) {
      return Error{Format("cannot open the log: %s", error.what())};
    }
  }
  SetLogLevel(settings.loglevel);
  SetLogSink(WriteLine);
  return {};
}

void ReopenLog() {
  Destination& to = TheDestination();
  Bytes trouble;
  {
    const std::lock_guard lock(to.mutex);
    if (to.file.empty()) return;
    try {
      to.sink = OpenSink(to.file);
    } catch (const spdlog::spdlog_ex& error) {
      trouble = error.what();
    }
  }
  if (trouble.empty()) {
    LOCKSTEP_LOG(kInfo, "log reopened");
  } else {
    LOCKSTEP_LOG(kError, "cannot reopen the log, going on with the old one: %s", trouble.c_str());
  }
}

void StopLogging() {
  SetLogSink(nullptr);
  Destination& to = TheDestination();
  const std::lock_guard lock(to.mutex);
  to.sink.reset();
}

Bytes TextLine(LogLevel level, BytesView line, int64_t wall_us) {
  Bytes out = Timestamp(wall_us);
  out += ' ';
  out += NameOf(level);
  out.append(7 - NameOf(level).size(), ' ');
  for (const char c : line) {
    if (IsPlain(c)) {
      out += c;
    } else {
      out += Format("\\x%02x", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Bytes JsonLine(LogLevel level, BytesView line, int64_t wall_us, int64_t node) {
  Bytes out = "{\"@timestamp\":\"" + Timestamp(wall_us) + "\",\"log.level\":\"";
  out += NameOf(level);
  out += "\",\"message\":\"";
  for (const char c : line) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (IsPlain(c)) {
      out += c;
    } else {
      out += Format("\\u%04x", static_cast<unsigned char>(c));
    }
  }
  out += Format(
      "\",\"ecs.version\":\"1.6.0\",\"service.name\":\"lockstep\","
      "\"service.node.name\":\"%lld\"}",
      static_cast<long long>(node));
  return out;
}

}  // namespace lockstep::io
