// A command is a row of data and a handler that only translates. The row is the one source for
// dispatch, COMMAND, COMMAND DOCS, GETKEYS, ACL categories, redis-cli's hints and README's list.
#pragma once

#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "commands/action.h"
#include "commands/args.h"
#include "commands/client.h"

namespace lockstep {

class Host;
class Keys;

struct Context {
  Client& client;
  Host& host;
  bool in_exec = false;  // Run by EXEC: a command that would block answers at once.
  Keys* keys = nullptr;  // What the key specs name, held: of a row with on_keys, and only there.
  // If it is there: where the reply goes next. A handler may write it there itself, whole, and
  // answer Reply::Nothing(): a value is copied once less.
  Bytes* output = nullptr;
};

// Says what is to be done. Arity has been checked; arguments are whole.
using Handler = Action (*)(Context&, Args&);

// Redis's command flags (COMMAND INFO's third field), one bit each.
enum CommandFlag : uint32_t {
  kWrite = 1 << 0,
  kReadonly = 1 << 1,
  kDenyOom = 1 << 2,
  kAdmin = 1 << 3,
  kPubSub = 1 << 4,
  kNoScript = 1 << 5,
  kBlocking = 1 << 6,
  kLoading = 1 << 7,   // Allowed while LOADING.
  kStale = 1 << 8,
  kSkipMonitor = 1 << 9,
  kSkipSlowlog = 1 << 10,
  kFast = 1 << 11,
  kNoAuth = 1 << 12,   // Allowed before AUTH.
  kNoMulti = 1 << 13,  // Refused inside MULTI.
  kMovableKeys = 1 << 14,
  kAllowBusy = 1 << 15,
};

// ACL categories (COMMAND INFO's seventh field, COMMAND LIST FILTERBY ACLCAT).
enum Category : uint32_t {
  kCatKeyspace = 1 << 0,
  kCatRead = 1 << 1,
  kCatWrite = 1 << 2,
  kCatString = 1 << 3,
  kCatPubSub = 1 << 4,
  kCatAdmin = 1 << 5,
  kCatFast = 1 << 6,
  kCatSlow = 1 << 7,
  kCatBlocking = 1 << 8,
  kCatDangerous = 1 << 9,
  kCatConnection = 1 << 10,
  kCatTransaction = 1 << 11,
  kCatLock = 1 << 12,   // Ours from here on.
  kCatQueue = 1 << 13,
  kCatCache = 1 << 14,
  kCatCluster = 1 << 15,
};

// How the keys of a command are found (key-specs of Redis 7).
struct KeySpec {
  enum class Access : uint8_t { kRO, kRW, kOW, kRM } access = Access::kRW;
  enum class Intent : uint8_t { kNone, kAccess, kInsert, kUpdate, kDelete } intent = Intent::kNone;
  int begin = 1;          // Index of the first key, or of numkeys.
  bool keynum = false;    // argv[begin] says how many keys follow it.
  int last = 0;           // From begin: 0 only that one, -1 to the end. Unused with keynum.
  int step = 1;
  bool answers = false;   // Beside its intent: something of the value is answered ("access").
  bool not_key = false;   // Routed like a key, but none: the channel of SPUBLISH.
};

struct Argument {
  enum class Type : uint8_t {
    kString, kInteger, kDouble, kKey, kPattern, kUnixTime, kPureToken, kOneOf, kBlock
  };
  const char* name;
  Type type = Type::kString;
  const char* token = nullptr;
  bool optional = false;
  bool multiple = false;
  bool multiple_token = false;
  int key_spec = -1;
  std::span<const Argument> children = {};  // Of kOneOf and kBlock.
};

struct CommandSpec {
  const char* name;     // Upper case, "LOCK.ACQUIRE"; a subcommand's own name, "LIST".
  int arity = 1;        // With the command's own name(s); negative: at least.
  uint32_t flags = 0;
  uint32_t categories = 0;  // Those that the flags do not say (CategoriesOf).
  Handler handler = nullptr;  // Null: only subcommands.
  // Runs when all that its key specs name is held at once (commands/keys.h), and answers at once.
  bool on_keys = false;
  // Takes no longer than its arguments and its reply are long. What is kFast, does.
  bool brief = false;
  // Sees and changes nothing but its one key, nor anything of its client: it may be run at the
  // key's home, for a client of another node (cluster/mesi/ship.h). What may name several keys, if
  // it names one.
  bool ships = false;
  const char* summary = "";
  const char* since = "1.0.0";
  const char* group = "server";  // COMMAND DOCS's group: lock, queue, cache, cluster, server, ...
  const char* complexity = "O(1)";
  std::span<const KeySpec> keys = {};
  std::span<const Argument> arguments = {};
  std::span<const char* const> tips = {};
  std::span<const CommandSpec> subcommands = {};
};

// All commands, by family. Each family's file gives its rows.
std::span<const CommandSpec> LockCommands();         // commands/lock.cc
std::span<const CommandSpec> QueueCommands();        // commands/dq_table.cc
std::span<const CommandSpec> ConnectionCommands();   // commands/connection.cc
std::span<const CommandSpec> ServerCommands();       // commands/server.cc
std::span<const CommandSpec> ClusterCommands();      // commands/cluster.cc
std::span<const CommandSpec> PubSubCommands();       // commands/pubsub_commands.cc
std::span<const CommandSpec> AclCommands();          // commands/acl.cc
std::span<const CommandSpec> KeyspaceCommands();     // commands/keyspace.cc: DBSIZE SCAN TYPE KEYS
std::span<const CommandSpec> StringCommands();       // commands/string_table.cc: and on any key
std::span<const CommandSpec> DcacheCommands();       // commands/dcache.cc
std::span<const CommandSpec> DcacheNsCommands();     // commands/dcache_ns.cc
std::span<const CommandSpec> TransactionCommands();  // commands/transaction.cc: rows only; the
                                                     // dispatcher runs MULTI, EXEC, DISCARD itself.

// The row's own categories and those that Redis derives from flags: admin is also dangerous, what
// is not fast is slow.
uint32_t CategoriesOf(const CommandSpec& spec);

struct FoundCommand {
  const CommandSpec* command = nullptr;     // Null: unknown.
  const CommandSpec* subcommand = nullptr;  // Of a container, if argv[1] names one.
  // What runs, and what arity, flags and keys are judged by.
  const CommandSpec& leaf() const { return subcommand != nullptr ? *subcommand : *command; }
};

// The table (commands/command_table.cc). Lookup takes any case and allocates nothing.
class CommandTable {
 public:
  static const CommandTable& Get();

  // By what a client sent. A container whose argv[1] names no subcommand is found alone.
  FoundCommand Find(std::span<const BytesView> argv) const;
  // By full name, "config|get", as COMMAND INFO and DOCS take it.
  FoundCommand FindByName(BytesView name) const;

  const std::vector<const CommandSpec*>& all() const { return all_; }  // Sorted by name.

  // Dense numbers for statistics: every command and subcommand, in a fixed order.
  size_t leaves() const { return names_.size(); }
  size_t LeafNumber(const CommandSpec& leaf) const;
  const Bytes& LeafName(size_t number) const;  // "lock.acquire", "client|list".
  const Bytes& LeafName(const CommandSpec& leaf) const { return LeafName(LeafNumber(leaf)); }

 private:
  CommandTable();
  void Number(const CommandSpec& leaf, Bytes name);

  const CommandSpec* FindCommand(BytesView typed) const;

  std::vector<const CommandSpec*> all_;
  // By a hash of the name without its case, in open addressing; at most half of it is taken.
  struct Place {
    BytesView name;
    const CommandSpec* spec = nullptr;  // Null: the place is free.
  };
  std::vector<Place> places_;
  std::vector<Bytes> names_;
  std::unordered_map<const CommandSpec*, size_t> numbers_;  // Looked up, never walked.
};

// "ERR unknown command 'X', with args beginning with: 'a' 'b' ", as Redis says it.
Reply UnknownCommand(std::span<const BytesView> argv);
// "ERR unknown subcommand 'X'. Try CLIENT HELP."
Reply UnknownSubcommand(std::span<const BytesView> argv);
// "ERR wrong number of arguments for 'lock.acquire' command"; subcommands as 'client|kill'.
Reply WrongArity(const FoundCommand& found);
bool ArityFits(const CommandSpec& leaf, size_t argc);
// The error, if any, before arguments are looked at: unknown, unknown subcommand, arity.
std::optional<Reply> RefuseBeforeRun(const FoundCommand& found, std::span<const BytesView> argv);

}  // namespace lockstep
