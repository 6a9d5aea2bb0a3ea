// OBJECT: of one key, what Redis would say of it. All keys are strings, and how long they have not
// been used is not kept.
#include "commands/rows.h"
#include "commands/shared_replies.h"
#include "commands/string.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr size_t kEmbeddedBytesMax = 44;   // Redis's OBJ_ENCODING_EMBSTR_SIZE_LIMIT,
constexpr size_t kIntegerBytesMax = 20;    // what it tries to read as a number,
constexpr int64_t kSharedIntegers = 10'000;  // OBJ_SHARED_INTEGERS,
constexpr int64_t kSharedRefcount = INT32_MAX;  // and OBJ_SHARED_REFCOUNT.

constexpr KeySpec kObjectKeys[] = {{.access = KeySpec::Access::kRO, .begin = 2}};

bool IsInteger(BytesView value, int64_t* number) {
  return value.size() <= kIntegerBytesMax && ParseInt64(value, number);
}

// OBJECT ENCODING key
Reply Encoding(Context&, Keys& keys, Args& args) {
  const std::optional<Keys::Value> value = keys.Find(args.Next());
  if (!value) return Reply::Nil();
  int64_t number = 0;
  if (IsInteger(value->bytes, &number)) return Reply::Bulk("int");
  return Reply::Bulk(value->bytes.size() <= kEmbeddedBytesMax ? "embstr" : "raw");
}

// OBJECT FREQ key
Reply Frequency(Context&, Keys& keys, Args& args) {
  if (!keys.Find(args.Next())) return Reply::Nil();
  return Reply::Error("ERR", "An LFU maxmemory policy is not selected, access frequency not "
                             "tracked. Please note that when switching between policies at runtime "
                             "LRU and LFU data will take some time to adjust.");
}

// OBJECT IDLETIME key
Reply IdleTime(Context&, Keys& keys, Args& args) {
  return keys.Find(args.Next()) ? Reply::Integer(0) : Reply::Nil();
}

// OBJECT REFCOUNT key
Reply RefCount(Context&, Keys& keys, Args& args) {
  const std::optional<Keys::Value> value = keys.Find(args.Next());
  if (!value) return Reply::Nil();
  int64_t number = 0;
  const bool is_shared =
      IsInteger(value->bytes, &number) && number >= 0 && number < kSharedIntegers;
  return Reply::Integer(is_shared ? kSharedRefcount : 1);
}

constexpr const char* kHelp[] = {
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
};

// OBJECT HELP
Action Help(Context&, Args&) {
  return HelpReply("OBJECT", kHelp);
}

constexpr const char* kObjectTips[] = {"nondeterministic_output"};
constexpr Argument kObjectArguments[] = {{.name = "key", .type = Type::kKey, .key_spec = 0}};

constexpr CommandSpec OfKey(const char* name, Handler handler, const char* summary,
                            const char* since) {
  return {.name = name,
          .arity = 3,
          .flags = kReadonly,
          .categories = kCatKeyspace,
          .handler = handler,
          .on_keys = true,
          .summary = summary,
          .since = since,
          .group = "generic",
          .keys = kObjectKeys,
          .arguments = kObjectArguments,
          .tips = kObjectTips};
}

constexpr CommandSpec kObjectSubcommands[] = {
    OfKey("ENCODING", OnKeys<Encoding, 2>, "Inspect the internal encoding of a Redis object",
          "2.2.3"),
    OfKey("FREQ", OnKeys<Frequency, 2>,
          "Get the logarithmic access frequency counter of a Redis object", "4.0.0"),
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .categories = kCatKeyspace,
     .handler = Help,
     .summary = "Show helpful text about the different subcommands",
     .since = "6.2.0",
     .group = "generic"},
    OfKey("IDLETIME", OnKeys<IdleTime, 2>, "Get the time since a Redis object was last accessed",
          "2.2.3"),
    OfKey("REFCOUNT", OnKeys<RefCount, 2>,
          "Get the number of references to the value of the key", "2.2.3"),
};
constexpr CommandSpec kObjectRow = {.name = "OBJECT",
                                    .arity = -2,
                                    .summary = "A container for object introspection commands",
                                    .since = "2.2.3",
                                    .group = "generic",
                                    .complexity = "Depends on subcommand.",
                                    .subcommands = kObjectSubcommands};

}  // namespace

CommandSpec ObjectCommand() {
  return kObjectRow;
}

}  // namespace lockstep
