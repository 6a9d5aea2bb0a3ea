// How settings come to their values: defaults, then the file, then the environment, then the
// command line, then CONFIG SET; the later wins. Grammar and texts are redis.conf's and
// Redis 7.0's.
//
// Pure: text in, text out. The shell reads and writes the files.
//
// Always true:
//   1. A call that fails has changed nothing.
//   2. No setting is out of its bounds. That none contradicts another holds once Check() has
//      said so, and Set() keeps it.
//   3. A secret's value leaves only through settings() and Rewrite().
//
// Not thread-safe. Owned by the node, used on the node thread.
#pragma once

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "src/base/result.h"
#include "src/settings.h"

namespace lockstep {

// Where a setting's value comes from.
enum class Origin : uint8_t { kDefault, kFile, kEnvironment, kCommandLine, kConfigSet };

// lockstep-server [file | -] [--setting value ...], or one of --help, --version, --check-config,
// --print-config beside them.
struct CommandLine {
  enum class Wish : uint8_t { kRun, kHelp, kVersion, kCheckConfig, kPrintConfig };
  Wish wish = Wish::kRun;
  Bytes file;                                // Empty: none. "-": standard input.
  std::vector<std::vector<Bytes>> settings;  // Name, then values.
};
// `args` without the program's own name.
Result<CommandLine> ParseCommandLine(std::span<const Bytes> args);

// A setting's name in the environment: "raft-heartbeat-ms" is LOCKSTEP_RAFT_HEARTBEAT_MS.
Bytes EnvironmentName(BytesView setting);
// LOCKSTEP_REQUIREPASS_FILE names a file whose content (less the newline at its end) is the value
// of LOCKSTEP_REQUIREPASS: how containers hand secrets over. The latter's name if `variable` is
// such a twin of a setting, else empty.
Bytes FileTwinOf(BytesView variable);

class Config {
 public:
  // The text of an included file, whose path stands as it was written.
  using Include = std::function<Result<Bytes>(const Bytes& path)>;
  static constexpr size_t kTextBytesMax = size_t{1} << 20;  // Of a file.
  static constexpr int kIncludeDepthMax = 16;

  Config();

  const Settings& settings() const { return settings_; }
  Origin OriginOf(BytesView setting) const;

  // At the start, in this order. ------------------------------------------------------------------

  // An error names the line, the setting and, where a name is unknown, the nearest one there is.
  Result<void> ReadFile(BytesView name, BytesView text, const Include& include);
  // Pairs of name and value. Those that are no setting's are skipped; of them the ones that look
  // meant for us are handed back, each as a sentence for the log.
  Result<std::vector<Bytes>> ReadEnvironment(
      const std::vector<std::pair<Bytes, Bytes>>& environment);
  Result<void> ReadCommandLine(const CommandLine& line);
  // No setting contradicts another. The sources are read one by one, so only now can it be said.
  Result<void> Check() const;

  // While running. --------------------------------------------------------------------------------

  // CONFIG GET: the settings whose names match the glob, in order of name, secrets as "".
  std::vector<std::pair<Bytes, Bytes>> Get(BytesView pattern) const;
  // CONFIG SET: all or nothing. The error is Redis's whole reply text after "ERR ".
  Result<void> Set(const std::vector<std::pair<Bytes, Bytes>>& values);
  // CONFIG REWRITE: `old` made to say what is in force, comments, order and every line that is
  // still true left as they are. What came from the environment stays out: it is there again at the
  // next start, and may be a secret.
  Bytes Rewrite(BytesView old) const;

  // A line a setting: name, value, where the value comes from. Secrets as "***".
  Bytes Explain() const;

 private:
  Settings settings_;
  std::vector<Origin> origins_;  // One a row of the table.
};

}  // namespace lockstep
