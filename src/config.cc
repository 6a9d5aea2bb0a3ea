#include "src/config.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/config_text.h"
#include "src/settings_table.h"

namespace lockstep {
namespace {

constexpr BytesView kEnvironmentPrefix = "LOCKSTEP_";
constexpr BytesView kFileTwinSuffix = "_FILE";

struct Values {
  Settings settings;
  std::vector<Origin> origins;
};

Bytes DidYouMean(BytesView name, BytesView prefix = {}) {
  const BytesView nearest = NearestSetting(name);
  if (nearest.empty()) return {};
  return " (did you mean " + Bytes(prefix) + Bytes(nearest) + "?)";
}

// `words`: a setting's name and its values. The error names both, but never a secret.
Result<void> Assign(std::span<const Bytes> words, Origin origin, Values* values) {
  CHECK(!words.empty());
  const SettingRow* row = FindSetting(words[0]);
  if (row == nullptr) {
    return Error{"unknown setting '" + Printable(words[0]) + "'" + DidYouMean(words[0])};
  }
  auto read = ReadSetting(*row, words.subspan(1), &values->settings);
  if (!read) {
    Bytes shown;
    for (const Bytes& word : words.subspan(1)) shown += " " + Printable(word);
    if (row->secret) shown = " ***";
    return Error{"'" + Bytes(row->name) + shown + "': " + read.error().message};
  }
  values->origins[SettingNumber(*row)] = origin;
  return {};
}

// A text with all that it includes.
class FileReader {
 public:
  FileReader(const Config::Include& include, Values* values) : include_(include), values_(values) {}

  Result<void> Read(BytesView name, BytesView text, int depth) {
    if (text.size() > Config::kTextBytesMax) return Error{Bytes(name) + ": longer than 1 MB"};
    for (int number = 1; !text.empty(); ++number) {
      auto read = ReadLine(NextLine(&text), depth);
      if (read) continue;
      return Error{Format("%s:%d: ", Printable(name, 4096).c_str(), number) + read.error().message};
    }
    return {};
  }

 private:
  Result<void> ReadLine(BytesView line, int depth) {
    const auto words = WordsOf(line);
    if (!words) return Error{"unbalanced quotes"};
    if (words->empty()) return {};
    if (EqualsIgnoreCase((*words)[0], "include")) return ReadIncluded(*words, depth);

    auto assigned = Assign(*words, Origin::kFile, values_);
    const bool comment_behind =
        !assigned && std::any_of(words->begin() + 1, words->end(),
                                 [](const Bytes& word) { return word.starts_with('#'); });
    if (!comment_behind) return assigned;
    return Error{assigned.error().message + " (a comment needs a line of its own)"};
  }

  Result<void> ReadIncluded(const std::vector<Bytes>& words, int depth) {
    if (words.size() != 2) return Error{"include takes one path"};
    if (depth == Config::kIncludeDepthMax) return Error{"includes go deeper than 16"};
    auto text = include_(words[1]);
    if (!text) return Error{"include " + Printable(words[1], 4096) + ": " + text.error().message};
    return Read(words[1], *text, depth + 1);
  }

  const Config::Include& include_;
  Values* values_;
};

// What must hold between two settings.
struct Agreement {
  const char* setting;
  const char* other;
  bool (*holds)(const Settings&);
  const char* says;
};

bool OwnIdIsListed(const Settings& s) {
  return s.cluster_nodes.empty() ||
         std::any_of(s.cluster_nodes.begin(), s.cluster_nodes.end(), [&](const NodeAddress& node) {
           return static_cast<int64_t>(node.id.value) == s.node_id;
         });
}

constexpr Agreement kAgreements[] = {
    {"bus-port", "port", [](const Settings& s) { return s.bus_port != 0 || s.port <= 55535; },
     "port + 10000 is above 65535: set bus-port"},
    {"http-port", "port", [](const Settings& s) { return s.http_port != 0 || s.port <= 63535; },
     "port + 2000 is above 65535: set http-port"},
    {"bus-port", "port", [](const Settings& s) { return s.BusPort() != s.Port(); },
     "port and bus-port are the same"},
    {"http-port", "port", [](const Settings& s) { return s.HttpPort() != s.Port(); },
     "port and http-port are the same"},
    {"http-port", "bus-port", [](const Settings& s) { return s.HttpPort() != s.BusPort(); },
     "bus-port and http-port are the same"},
    {"cluster-nodes", "node-id", OwnIdIsListed, "cluster-nodes does not list this node's node-id"},
    {"raft-heartbeat-ms", "raft-election-timeout-ms",
     [](const Settings& s) { return 2 * s.raft_heartbeat_ms <= s.raft_election_timeout_ms; },
     "raft-heartbeat-ms is above half of raft-election-timeout-ms: one lost heartbeat would make "
     "an election"},
    {"raft-append-bytes", "raft-window-bytes",
     [](const Settings& s) { return s.raft_append_bytes <= s.raft_window_bytes; },
     "raft-append-bytes is above raft-window-bytes"},
    {"client-query-buffer-limit", "proto-max-bulk-len",
     [](const Settings& s) { return s.proto_max_bulk_len <= s.client_query_buffer_limit; },
     "proto-max-bulk-len is above client-query-buffer-limit: such an argument could never arrive"},
};

const Agreement* FirstBroken(const Settings& settings) {
  for (const Agreement& agreement : kAgreements) {
    if (!agreement.holds(settings)) return &agreement;
  }
  return nullptr;
}

// Redis's texts of CONFIG SET.
Error UnknownOption(const Bytes& name) {
  return Error{"Unknown option or number of arguments for CONFIG SET - '" +
               name.substr(0, name.find('\0')) + "'"};
}
Error SetFailed(const Bytes& name, const Bytes& reason) {
  return Error{"CONFIG SET failed (possibly related to argument '" + name + "') - " + reason};
}

// Before anything is tried, as Redis does: names, what may change at all, names that stand twice.
Result<void> CheckNames(const std::vector<std::pair<Bytes, Bytes>>& values) {
  std::vector<const SettingRow*> seen;
  for (const auto& [name, value] : values) {
    const SettingRow* row = FindSetting(name);
    if (row == nullptr) return UnknownOption(name);
    if (row->change == SettingRow::Change::kRestart) {
      return SetFailed(name, "can't set immutable config");
    }
    if (std::find(seen.begin(), seen.end(), row) != seen.end()) {
      return SetFailed(name, "duplicate parameter");
    }
    seen.push_back(row);
  }
  return {};
}

const char* OriginName(Origin origin) {
  switch (origin) {
    case Origin::kDefault: return "default";
    case Origin::kFile: return "file";
    case Origin::kEnvironment: return "environment";
    case Origin::kCommandLine: return "command line";
    case Origin::kConfigSet: return "config set";
  }
  CHECK(false);
}

// The setting that an environment variable is for. Null: none.
const SettingRow* SettingOfVariable(BytesView variable) {
  if (!variable.starts_with(kEnvironmentPrefix)) return nullptr;
  Bytes name = Lower(variable.substr(kEnvironmentPrefix.size()));
  std::replace(name.begin(), name.end(), '_', '-');
  const SettingRow* row = FindSetting(name);
  return row != nullptr && EnvironmentName(row->name) == variable ? row : nullptr;
}

// Kubernetes gives each container such variables for each service, so a service that is named
// "lockstep" makes a LOCKSTEP_PORT=tcp://10.0.0.7:7379.
bool IsServiceLink(BytesView value) {
  return value.starts_with("tcp://") || value.starts_with("udp://") || value.starts_with("sctp://");
}

}  // namespace

Result<CommandLine> ParseCommandLine(std::span<const Bytes> args) {
  using Wish = CommandLine::Wish;
  CommandLine line;
  if (!args.empty() && !args[0].empty() && (args[0] == "-" || args[0][0] != '-')) {
    line.file = args[0];
    args = args.subspan(1);
  }
  for (const Bytes& arg : args) {
    if (arg == "--help" || arg == "-h") {
      line.wish = Wish::kHelp;
    } else if (arg == "--version" || arg == "-v") {
      line.wish = Wish::kVersion;
    } else if (arg == "--check-config") {
      line.wish = Wish::kCheckConfig;
    } else if (arg == "--print-config") {
      line.wish = Wish::kPrintConfig;
    } else if (arg.size() > 2 && arg.starts_with("--")) {
      line.settings.push_back({arg.substr(2)});
    } else if (!line.settings.empty()) {
      line.settings.back().push_back(arg);
    } else {
      return Error{"unexpected argument '" + Printable(arg) + "': settings are --name value"};
    }
  }
  return line;
}

Bytes EnvironmentName(BytesView setting) {
  Bytes name = Bytes(kEnvironmentPrefix) + Upper(setting);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

Bytes FileTwinOf(BytesView variable) {
  if (!variable.ends_with(kFileTwinSuffix)) return {};
  const BytesView plain = variable.substr(0, variable.size() - kFileTwinSuffix.size());
  return SettingOfVariable(plain) != nullptr ? Bytes(plain) : Bytes();
}

Config::Config() : origins_(SettingRows().size(), Origin::kDefault) {}

Origin Config::OriginOf(BytesView setting) const {
  const SettingRow* row = FindSetting(setting);
  CHECK_SAYS(row != nullptr, "no setting '%s'", Printable(setting).c_str());
  return origins_[SettingNumber(*row)];
}

Result<void> Config::ReadFile(BytesView name, BytesView text, const Include& include) {
  Values values{settings_, origins_};
  auto read = FileReader(include, &values).Read(name, text, 0);
  if (!read) return read;
  settings_ = std::move(values.settings);
  origins_ = std::move(values.origins);
  return {};
}

Result<std::vector<Bytes>> Config::ReadEnvironment(
    const std::vector<std::pair<Bytes, Bytes>>& environment) {
  Values values{settings_, origins_};
  std::vector<Bytes> skipped;
  for (const auto& [variable, value] : environment) {
    if (!variable.starts_with(kEnvironmentPrefix)) continue;
    const SettingRow* row = SettingOfVariable(variable);
    if (row == nullptr) {
      Bytes name = Lower(BytesView(variable).substr(kEnvironmentPrefix.size()));
      std::replace(name.begin(), name.end(), '_', '-');
      skipped.push_back("skip " + Printable(variable) + ": no setting has that name" +
                        DidYouMean(name));
    } else if (IsServiceLink(value)) {
      skipped.push_back("skip " + variable + ": its value is a Kubernetes service link");
    } else {
      const Bytes words[] = {row->name, value};
      auto assigned = Assign(words, Origin::kEnvironment, &values);
      if (!assigned) return Error{variable + ": " + assigned.error().message};
    }
  }
  settings_ = std::move(values.settings);
  origins_ = std::move(values.origins);
  return skipped;
}

Result<void> Config::ReadCommandLine(const CommandLine& line) {
  Values values{settings_, origins_};
  for (const std::vector<Bytes>& words : line.settings) {
    auto assigned = Assign(words, Origin::kCommandLine, &values);
    if (!assigned) return Error{"command line: " + assigned.error().message};
  }
  settings_ = std::move(values.settings);
  origins_ = std::move(values.origins);
  return {};
}

Result<void> Config::Check() const {
  const Agreement* broken = FirstBroken(settings_);
  if (broken == nullptr) return {};
  return Error{broken->says};
}

std::vector<std::pair<Bytes, Bytes>> Config::Get(BytesView pattern) const {
  std::vector<std::pair<Bytes, Bytes>> out;
  for (const SettingRow& row : SettingRows()) {
    if (!GlobMatch(pattern, row.name, /*ignore_case=*/true)) continue;
    out.emplace_back(row.name, row.secret ? Bytes() : SettingText(row, settings_));
  }
  return out;
}

Result<void> Config::Set(const std::vector<std::pair<Bytes, Bytes>>& values) {
  if (auto names = CheckNames(values); !names) return names;

  Values draft{settings_, origins_};
  for (const auto& [name, value] : values) {
    const SettingRow* row = FindSetting(name);
    const Bytes words[] = {value};
    auto read = ReadSetting(*row, words, &draft.settings);
    if (!read) return SetFailed(name, read.error().message);
    draft.origins[SettingNumber(*row)] = Origin::kConfigSet;
  }
  // They agreed before, so one of those that are set now is to blame.
  if (const Agreement* broken = FirstBroken(draft.settings)) {
    const auto blamed = std::find_if(values.begin(), values.end(), [&](const auto& pair) {
      return EqualsIgnoreCase(pair.first, broken->setting) ||
             EqualsIgnoreCase(pair.first, broken->other);
    });
    return SetFailed(blamed != values.end() ? blamed->first : broken->setting, broken->says);
  }
  settings_ = std::move(draft.settings);
  origins_ = std::move(draft.origins);
  return {};
}

Bytes Config::Rewrite(BytesView old) const {
  ConfigRewriter rewriter(old, settings_);
  for (const SettingRow& row : SettingRows()) {
    const Origin origin = origins_[SettingNumber(row)];
    const bool ours = origin == Origin::kCommandLine || origin == Origin::kConfigSet;
    if (ours && row.change != SettingRow::Change::kFixed) rewriter.Write(row);
  }
  return rewriter.Text();
}

Bytes Config::Explain() const {
  Bytes out;
  for (const SettingRow& row : SettingRows()) {
    const Bytes text = SettingText(row, settings_);
    const bool hidden = row.secret && !text.empty();
    out += Format("%-28s %s  (%s)\n", row.name, hidden ? "***" : QuotedValue(text).c_str(),
                  OriginName(origins_[SettingNumber(row)]));
  }
  return out;
}

}  // namespace lockstep
