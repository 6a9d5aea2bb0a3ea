// The table of settings: one row gives a field of Settings its name, its bounds, its unit and
// whether it may change while the node runs. Everything that is done with settings by name goes
// through it: files, environment, command line, CONFIG GET, SET and REWRITE, and the test that the
// manual is true.
#pragma once

#include <span>
#include <variant>

#include "src/base/result.h"
#include "src/settings.h"

namespace lockstep {

struct SettingRow {
  enum class Change : uint8_t {
    kLive,     // CONFIG SET.
    kRestart,  // Only at start.
    kFixed,    // Says how Lockstep is; here because tools ask, and old redis.conf files say it.
  };
  enum class Unit : uint8_t {
    kNone,
    kPort,
    kCount,
    kBytes,
    kMicroseconds,
    kMilliseconds,
    kSeconds
  };
  // The field of Settings; none if kFixed.
  using Field = std::variant<std::monostate, int64_t Settings::*, bool Settings::*,
                             Bytes Settings::*, std::vector<Bytes> Settings::*,
                             std::vector<NodeAddress> Settings::*, OutputLimits Settings::*,
                             DebugAccess Settings::*, LogLevel Settings::*, LogFormat Settings::*>;

  const char* name;
  Field field = {};
  Change change = Change::kRestart;
  Unit unit = Unit::kNone;
  int64_t low = 0;  // Of integers: the value's bounds. Of text: the bounds of its length.
  int64_t high = 0;
  bool secret = false;
  const char* fixed_value = "";
  const char* fixed_because = "";  // A clause for the error that refuses another value.
};

// Sorted by name.
std::span<const SettingRow> SettingRows();
// Any case. Null if there is none.
const SettingRow* FindSetting(BytesView name);
size_t SettingNumber(const SettingRow& row);  // Its place in SettingRows().
// The name that is most like `name`, empty if none is like it at all.
BytesView NearestSetting(BytesView name);

// The value as CONFIG GET gives it; secrets too.
Bytes SettingText(const SettingRow& row, const Settings& settings);
// Sets the field from the words of a line. An error is the reason alone, in Redis's words where
// Redis has the same kind of setting, and has changed nothing.
Result<void> ReadSetting(const SettingRow& row, std::span<const Bytes> words, Settings* settings);

// "67108864" as "64mb": with the largest unit that divides it.
Bytes ByteCountText(int64_t bytes);

}  // namespace lockstep
