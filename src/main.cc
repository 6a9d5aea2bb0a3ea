// lockstep-server: arguments, settings, run.
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <span>

#include "src/base/check.h"
#include "src/base/log.h"
#include "src/base/version.h"
#include "src/config.h"
#include "src/io/file.h"
#include "src/io/logging.h"
#include "src/io/server.h"

extern char** environ;

namespace lockstep {
namespace {

constexpr char kHelp[] =
    "lockstep-server [file.conf | -] [--setting value ...]\n"
    "\n"
    "Runs one node of a Lockstep cluster. Settings come from the file (\"-\": standard input), "
    "from\n"
    "LOCKSTEP_<SETTING> in the environment and from the command line; the later wins.\n"
    "conf/lockstep.conf explains every setting.\n"
    "\n"
    "  lockstep-server                                one node on 127.0.0.1:7379, data in ./data\n"
    "  lockstep-server conf/node-1.conf --port 7400   a file, and one setting of it overridden\n"
    "\n"
    "  --check-config   say whether the settings are right, and stop\n"
    "  --print-config   say what every setting is and where it comes from, and stop\n"
    "  --version        say what this is, and stop\n"
    "  --help           this\n"
    "\n"
    "SIGTERM or SIGINT: hand over, finish, exit 0; again: stop now. SIGHUP: open the log anew.\n";

struct Loaded {
  Config config;
  Bytes file;  // Absolute; empty: none, or standard input.
};

Bytes Absolute(const Bytes& path) {
  char* const resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return path;
  Bytes absolute = resolved;
  ::free(resolved);
  return absolute;
}

// A secret in a file: LOCKSTEP_REQUIREPASS_FILE=/run/secrets/x stands for LOCKSTEP_REQUIREPASS.
Result<std::vector<std::pair<Bytes, Bytes>>> Environment() {
  std::vector<std::pair<Bytes, Bytes>> variables;
  for (char** at = environ; *at != nullptr; ++at) {
    const BytesView line = *at;
    const size_t equals = line.find('=');
    if (equals == BytesView::npos) continue;
    const Bytes name(line.substr(0, equals));
    const Bytes value(line.substr(equals + 1));
    const Bytes meant = FileTwinOf(name);
    if (meant.empty()) {
      variables.emplace_back(name, value);
      continue;
    }
    auto content = io::ReadFile(value, Config::kTextBytesMax);
    if (!content) return Error{name + ": " + content.error().message};
    if (content->ends_with('\n')) content->pop_back();
    variables.emplace_back(meant, std::move(*content));
  }
  return variables;
}

Result<Loaded> Load(const CommandLine& line) {
  Loaded loaded;
  if (!line.file.empty()) {
    auto text = io::ReadFile(line.file, Config::kTextBytesMax);
    if (!text) return text.error();
    if (line.file != "-") loaded.file = Absolute(line.file);
    const auto include = [](const Bytes& path) {
      return io::ReadFile(path, Config::kTextBytesMax);
    };
    const auto read = loaded.config.ReadFile(line.file == "-" ? "standard input" : line.file,
                                             *text, include);
    if (!read) return read.error();
  }
  const auto environment = Environment();
  if (!environment) return environment.error();
  const auto unknown = loaded.config.ReadEnvironment(*environment);
  if (!unknown) return unknown.error();
  for (const Bytes& remark : *unknown)
    std::fprintf(stderr, "lockstep-server: %s\n", remark.c_str());
  if (const auto read = loaded.config.ReadCommandLine(line); !read) return read.error();
  if (const auto checked = loaded.config.Check(); !checked) return checked.error();
  return loaded;
}

int Refuse(const Bytes& why) {
  std::fprintf(stderr, "lockstep-server: %s\n", why.c_str());
  return EXIT_FAILURE;
}

int Run(Loaded loaded) {
  ::umask(027);
  const bool log_is_output = loaded.config.settings().logfile.empty();
  if (const auto logging = io::StartLogging(loaded.config.settings()); !logging) {
    return Refuse(logging.error().message);
  }
  SetCheckFailureHook([](const Bytes& what) { Log(LogLevel::kError, "our own bug: " + what); });
  auto server = io::Server::Open({.config = std::move(loaded.config),
                                  .config_file = std::move(loaded.file)});
  if (!server) {
    if (!log_is_output) Log(LogLevel::kError, "cannot start: " + server.error().message);
    io::StopLogging();
    return Refuse(server.error().message);
  }
  (*server)->Run();
  io::StopLogging();
  // Not by way of destructors: a look-up of a name may hold libuv's thread for many seconds yet.
  std::fflush(nullptr);
  ::_exit(EXIT_SUCCESS);
}

int Main(std::span<const Bytes> arguments) {
  const auto line = ParseCommandLine(arguments);
  if (!line) return Refuse(line.error().message);
  if (line->wish == CommandLine::Wish::kHelp) {
    std::fputs(kHelp, stdout);
    return EXIT_SUCCESS;
  }
  if (line->wish == CommandLine::Wish::kVersion) {
    std::printf("lockstep-server %s (answers as Redis %s where asked)\n", kLockstepVersion,
                kRedisVersionCompatible);
    return EXIT_SUCCESS;
  }
  auto loaded = Load(*line);
  if (!loaded) return Refuse(loaded.error().message);
  if (line->wish == CommandLine::Wish::kCheckConfig) {
    std::puts("the settings are right");
    return EXIT_SUCCESS;
  }
  if (line->wish == CommandLine::Wish::kPrintConfig) {
    std::fputs(loaded->config.Explain().c_str(), stdout);
    return EXIT_SUCCESS;
  }
  return Run(std::move(*loaded));
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  const std::vector<lockstep::Bytes> arguments(argv + 1, argv + argc);
  return lockstep::Main(arguments);
}
