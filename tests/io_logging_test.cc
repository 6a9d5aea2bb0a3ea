// Log lines stay one line, and JSON stays JSON, whatever clients put into them.
#include "src/io/logging.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace lockstep::io {
namespace {

constexpr int64_t kPiDayUs = 1'773'500'966'535'000;  // 2026-03-14T15:09:26.535Z.

TEST(LoggingTest, ATextLineHasItsTimeInUtcItsLevelAndTheLine) {
  EXPECT_EQ(TextLine(LogLevel::kInfo, "node 1 leads", kPiDayUs),
            "2026-03-14T15:09:26.535Z info   node 1 leads");
}

TEST(LoggingTest, ALineBreakInANameMakesNoSecondLine) {
  const Bytes line = TextLine(LogLevel::kWarn, "lock 'a\r\nb\x1b[31m'", kPiDayUs);
  EXPECT_EQ(line, "2026-03-14T15:09:26.535Z warn   lock 'a\\x0d\\x0ab\\x1b[31m'");
}

TEST(LoggingTest, EveryByteMakesValidJsonOnOneLine) {
  for (int byte = 0; byte < 256; ++byte) {
    const Bytes said = Format("<%c>", byte);
    const Bytes line = JsonLine(LogLevel::kError, said, kPiDayUs, 7);
    EXPECT_EQ(line.find('\n'), Bytes::npos);
    const auto parsed = nlohmann::json::parse(line);  // Throws on bad JSON and bad UTF-8.
    EXPECT_EQ(parsed["log.level"], "error");
    EXPECT_EQ(parsed["service.node.name"], "7");
    if (byte > 0 && byte < 128) {
      EXPECT_EQ(parsed["message"], said);
    }
  }
}

TEST(LoggingTest, ALogThatWasMovedAwayIsOpenedAnewByItsName) {
  char folder[] = "/tmp/lockstep-log-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  Settings settings;
  settings.logfile = Bytes(folder) + "/log";
  ASSERT_TRUE(StartLogging(settings).ok());
  Log(LogLevel::kInfo, "before");
  std::filesystem::rename(settings.logfile, settings.logfile + ".1");
  ReopenLog();
  Log(LogLevel::kInfo, "after");
  StopLogging();

  const auto text_of = [](const Bytes& path) {
    std::ifstream file(path);
    return Bytes{std::istreambuf_iterator<char>(file), {}};
  };
  EXPECT_NE(text_of(settings.logfile + ".1").find("before"), Bytes::npos);
  EXPECT_NE(text_of(settings.logfile).find("after"), Bytes::npos);
  EXPECT_EQ(text_of(settings.logfile).find("before"), Bytes::npos);
  std::filesystem::remove_all(folder);
}

TEST(LoggingTest, ALogThatCannotBeOpenedIsAnErrorThatNamesIt) {
  Settings settings;
  settings.logfile = "/proc/no/such/log";
  const auto started = StartLogging(settings);
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().message.find("/proc/no/such/log"), Bytes::npos);
}

}  // namespace
}  // namespace lockstep::io
