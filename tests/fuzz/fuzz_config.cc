// Settings from every source: file, environment, command line, CONFIG SET.
//
// Whatever the text, a call either fails, names why, and has changed nothing, or every setting is
// within its bounds and its text reads back to the same value. What CONFIG REWRITE writes, a start
// reads back to the settings that were in force, and rewriting it again changes nothing.
#include <span>

#include "src/base/hash.h"
#include "src/config.h"
#include "src/config_text.h"
#include "src/settings_table.h"
#include "tests/fuzz/fuzz.h"

namespace lockstep::fuzz {
namespace {

Result<Bytes> Included(const Bytes& path) {
  if (path == "missing") return Error{"no such file"};
  return Bytes("timeout 7\n");
}

// Each value is in bounds: its own text is read back, alone and as a line of a file.
void CheckValues(const Settings& settings) {
  for (const SettingRow& row : SettingRows()) {
    const Bytes text = SettingText(row, settings);
    Settings read;
    const Bytes word[] = {text};
    CHECK(ReadSetting(row, word, &read).ok());
    CHECK(SettingText(row, read) == text);
    const auto words = WordsOf(Bytes(row.name) + " " + QuotedValue(text) + "\n");
    CHECK(words.has_value() && words->size() == 2 && (*words)[1] == text);
  }
}

void CheckOutcome(const Result<void>& done, const Settings& before, const Settings& after) {
  if (done.ok()) return CheckValues(after);
  CHECK(!done.error().message.empty());
  CHECK(after == before);
}

std::vector<Bytes> Words(BytesView in) {
  std::vector<Bytes> words;
  while (!in.empty()) {
    const size_t end = std::min(in.find('\0'), in.size());
    words.emplace_back(in.substr(0, end));
    in.remove_prefix(std::min(end + 1, in.size()));
  }
  return words;
}

std::vector<std::pair<Bytes, Bytes>> Pairs(const std::vector<Bytes>& words) {
  std::vector<std::pair<Bytes, Bytes>> pairs;
  for (size_t i = 0; i + 1 < words.size(); i += 2) pairs.emplace_back(words[i], words[i + 1]);
  return pairs;
}

// A file, then what is set while running, then a file again.
void FuzzFile(BytesView in) {
  const size_t end = std::min(in.find('\0'), in.size());
  const BytesView text = in.substr(0, end);
  Config config;
  const auto read = config.ReadFile("fuzz.conf", text, Included);
  CheckOutcome(read, Settings(), config.settings());
  if (!read) return;
  CHECK(config.Rewrite(text) == text);  // Nothing was set, so nothing is written.

  const auto pairs = Pairs(Words(in.substr(std::min(end + 1, in.size()))));
  const bool sound = config.Check().ok();
  for (const auto& pair : pairs) {
    const Settings before = config.settings();
    const auto set = config.Set({pair});
    CheckOutcome(set, before, config.settings());
    CHECK(!sound || config.Check().ok());
  }
  const Bytes rewritten = config.Rewrite(text);
  CHECK(config.Rewrite(rewritten) == rewritten);
  Config again;
  const auto reread = again.ReadFile("fuzz.conf", rewritten, Included);
  CHECK_SAYS(reread.ok(), "%s", reread.error().message.c_str());
  CHECK(again.settings() == config.settings());
}

void FuzzEnvironment(BytesView in) {
  Config config;
  const auto skipped = config.ReadEnvironment(Pairs(Words(in)));
  if (skipped.ok()) return CheckValues(config.settings());
  CHECK(!skipped.error().message.empty());
  CHECK(config.settings() == Settings());
}

void FuzzCommandLine(BytesView in) {
  const std::vector<Bytes> words = Words(in);
  const auto line = ParseCommandLine(words);
  if (!line) return;
  Config config;
  CheckOutcome(config.ReadCommandLine(*line), Settings(), config.settings());
  for (const auto& [name, value] : config.Get("*")) CHECK(name != "requirepass" || value.empty());
  const Bytes explained = config.Explain();
  CHECK(static_cast<size_t>(std::count(explained.begin(), explained.end(), '\n')) ==
        SettingRows().size());
}

// One setting, any value.
void FuzzSetting(BytesView in) {
  Choices choices(in);
  const SettingRow& row = SettingRows()[choices.Below(SettingRows().size())];
  const std::vector<Bytes> words = Words(choices.Rest());
  Settings settings;
  CheckOutcome(ReadSetting(row, words, &settings), Settings(), settings);
}

}  // namespace

std::vector<Bytes> Seeds() {
  using namespace std::string_literals;
  Bytes file = "\0"s;
  for (const SettingRow& row : SettingRows()) {
    file += Bytes(row.name) + " " + QuotedValue(SettingText(row, Settings())) + "\n";
  }
  return {file,
          "\0port 7000\ninclude b.conf\ntimeout 1\0timeout\0005\0requirepass\0a \"b\"\0"s,
          "\0cluster-nodes 1=[::1]:1 7=b:2\nbind * ::1\n\0maxmemory\0003gb\0"s,
          "\0client-output-buffer-limit pubsub 1mb 2kb 3\nclient-output-buffer-limit normal 0 0 0"
          "\n\0client-output-buffer-limit\0slave 1 2 3\0"s,
          "\1LOCKSTEP_PORT\0007000\0LOCKSTEP_REQUIREPASS\0x\0LOCKSTEP_DIR_FILE\0y"s,
          "\2node.conf\0--port\0007000\0--bind\000127.0.0.1\0::1\0--check-config"s};
}

std::vector<Property> Properties() {
  return {FuzzFile, FuzzEnvironment, FuzzCommandLine, FuzzSetting};
}

}  // namespace lockstep::fuzz
