#include "commands/redact.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr BytesView kRedacted = "(redacted)";

// A setting whose value is, or may hold, a secret: `storage` can be a URL with a password in it.
bool IsSecretSetting(BytesView name) {
  const Bytes lower = Lower(name);
  for (const char* part : {"pass", "auth", "secret", "storage"}) {
    if (lower.find(part) != Bytes::npos) return true;
  }
  return false;
}

void Hide(std::vector<BytesView>* argv, size_t from, size_t count) {
  const size_t end = std::min(argv->size(), from + std::min(count, argv->size()));
  for (size_t i = from; i < end; ++i) (*argv)[i] = kRedacted;
}

}  // namespace

std::vector<BytesView> Redacted(const FoundCommand& found, std::span<const BytesView> argv) {
  std::vector<BytesView> shown(argv.begin(), argv.end());
  if (found.command == nullptr) return shown;
  const BytesView command = found.command->name;
  const BytesView subcommand = found.subcommand != nullptr ? found.subcommand->name : "";
  if (command == "AUTH") {
    Hide(&shown, 1, shown.size());
  } else if (command == "HELLO") {
    for (size_t i = 2; i < argv.size(); ++i) {
      if (EqualsIgnoreCase(argv[i], "auth")) Hide(&shown, i + 1, 2);
    }
  } else if (command == "ACL" && subcommand == "SETUSER") {
    Hide(&shown, 2, shown.size());
  } else if (command == "CONFIG" && subcommand == "SET") {
    for (size_t i = 2; i + 1 < argv.size(); i += 2) {
      if (IsSecretSetting(argv[i])) Hide(&shown, i + 1, 1);
    }
  }
  return shown;
}

}  // namespace lockstep
