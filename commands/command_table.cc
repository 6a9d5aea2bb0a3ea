#include <algorithm>

#include "commands/command.h"
#include "src/base/check.h"

namespace lockstep {
namespace {

constexpr size_t kPlaces = 1024;
constexpr size_t kNameSizeMax = 32;  // No command's is longer.

// Of the letters, in either case. Nobody can make it slow: the table holds our names only.
size_t PlaceOf(BytesView name) {
  uint32_t hash = 0;
  for (const char c : name) hash = hash * 31 + (static_cast<uint8_t>(c) | 0x20);
  return (hash ^ (hash >> 10)) % kPlaces;
}

const CommandSpec* FindSubcommand(const CommandSpec& container, BytesView typed) {
  for (const CommandSpec& sub : container.subcommands) {
    if (EqualsIgnoreCase(sub.name, typed)) return &sub;
  }
  return nullptr;
}

// At most `max` bytes of what a client sent. A zero byte ends it, as it does in Redis's printf.
BytesView Shown(BytesView in, size_t max = 128) {
  return in.substr(0, std::min(max, in.find('\0')));
}

}  // namespace

uint32_t CategoriesOf(const CommandSpec& spec) {
  uint32_t categories = spec.categories;
  if (spec.flags & kWrite) categories |= kCatWrite;
  if (spec.flags & kReadonly) categories |= kCatRead;
  if (spec.flags & kAdmin) categories |= kCatAdmin | kCatDangerous;
  if (spec.flags & kPubSub) categories |= kCatPubSub;
  if (spec.flags & kBlocking) categories |= kCatBlocking;
  return categories | (spec.flags & kFast ? kCatFast : kCatSlow);
}

CommandTable::CommandTable() {
  const std::span<const CommandSpec> families[] = {
      LockCommands(),    QueueCommands(),  ConnectionCommands(), ServerCommands(),
      ClusterCommands(), PubSubCommands(), AclCommands(),        KeyspaceCommands(),
      StringCommands(),  DcacheCommands(), DcacheNsCommands(), TransactionCommands()};
  for (const auto& family : families) {
    for (const CommandSpec& spec : family) all_.push_back(&spec);
  }
  std::sort(all_.begin(), all_.end(), [](const CommandSpec* a, const CommandSpec* b) {
    return BytesView(a->name) < BytesView(b->name);
  });
  CHECK(all_.size() <= kPlaces / 2);
  places_.resize(kPlaces);
  for (const CommandSpec* spec : all_) {
    const Bytes name = Lower(spec->name);
    CHECK(name.size() <= kNameSizeMax);
    size_t place = PlaceOf(name);
    while (places_[place].spec != nullptr) place = (place + 1) % kPlaces;
    places_[place] = {spec->name, spec};
    Number(*spec, name);
    for (const CommandSpec& sub : spec->subcommands) Number(sub, name + '|' + Lower(sub.name));
  }
}

void CommandTable::Number(const CommandSpec& leaf, Bytes name) {
  CHECK_SAYS(names_.empty() || std::find(names_.begin(), names_.end(), name) == names_.end(),
             "two rows for '%s'", name.c_str());
  numbers_.emplace(&leaf, names_.size());
  names_.push_back(std::move(name));
}

const CommandTable& CommandTable::Get() {
  static const CommandTable table;
  return table;
}

FoundCommand CommandTable::Find(std::span<const BytesView> argv) const {
  if (argv.empty()) return {};
  const CommandSpec* const command = FindCommand(argv[0]);
  if (command == nullptr || argv.size() == 1) return {command, nullptr};
  return {command, FindSubcommand(*command, argv[1])};
}

const CommandSpec* CommandTable::FindCommand(BytesView typed) const {
  if (typed.size() > kNameSizeMax) return nullptr;
  for (size_t place = PlaceOf(typed);; place = (place + 1) % kPlaces) {
    const Place& at = places_[place];
    if (at.spec == nullptr || at.name == typed || EqualsIgnoreCase(at.name, typed)) return at.spec;
  }
}

FoundCommand CommandTable::FindByName(BytesView name) const {
  const size_t bar = name.find('|');
  if (bar == BytesView::npos) return Find({&name, 1});
  const BytesView parts[] = {name.substr(0, bar), name.substr(bar + 1)};
  const FoundCommand found = Find(parts);
  return found.subcommand != nullptr ? found : FoundCommand();
}

size_t CommandTable::LeafNumber(const CommandSpec& leaf) const {
  const auto at = numbers_.find(&leaf);
  CHECK(at != numbers_.end());
  return at->second;
}

const Bytes& CommandTable::LeafName(size_t number) const {
  CHECK(number < names_.size());
  return names_[number];
}

Reply UnknownCommand(std::span<const BytesView> argv) {
  // Redis stops listing once 128 bytes of arguments are shown.
  Bytes args;
  for (size_t i = 1; i < argv.size() && args.size() < 128; ++i) {
    const size_t room = 128 - args.size();
    args += '\'';
    args += Shown(argv[i], room);
    args += "' ";
  }
  Bytes sentence = "unknown command '";
  if (!argv.empty()) sentence += Shown(argv[0]);
  return Reply::Error("ERR", sentence + "', with args beginning with: " + args);
}

Reply UnknownSubcommand(std::span<const BytesView> argv) {
  CHECK(argv.size() >= 2);
  return Reply::Error("ERR", "unknown subcommand '" + Bytes(Shown(argv[1])) + "'. Try " +
                                 Upper(argv[0]) + " HELP.");
}

Reply WrongArity(const FoundCommand& found) {
  return Reply::Error("ERR", "wrong number of arguments for '" +
                                 CommandTable::Get().LeafName(found.leaf()) + "' command");
}

bool ArityFits(const CommandSpec& leaf, size_t argc) {
  const auto needed = static_cast<size_t>(leaf.arity < 0 ? -leaf.arity : leaf.arity);
  return leaf.arity < 0 ? argc >= needed : argc == needed;
}

std::optional<Reply> RefuseBeforeRun(const FoundCommand& found, std::span<const BytesView> argv) {
  if (found.command == nullptr) return UnknownCommand(argv);
  const bool container = !found.command->subcommands.empty();
  if (container && found.subcommand == nullptr && argv.size() > 1) return UnknownSubcommand(argv);
  if (!ArityFits(found.leaf(), argv.size())) return WrongArity(found);
  return std::nullopt;
}

}  // namespace lockstep
