// Publish and subscribe. Channels are cluster-wide: a message published on any node reaches the
// subscribers of all. Confirmations are pushed one by one, so a command here has no reply of its
// own.
#include "commands/command.h"
#include "commands/host.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr size_t kSubscriptionsMax = 65'536;                 // Of one connection.
constexpr size_t kMessageBytesMax = size_t{32} * 1024 * 1024;
static_assert(kNameBytesMax + kMessageBytesMax < kFrameBodyBytesMax / 2);  // It goes to the peers.

// Shard channels are routed by slot like keys, but are none.
constexpr KeySpec kShardChannelKeys[] = {{.last = -1, .not_key = true}};
constexpr KeySpec kOneShardChannelKeys[] = {{.not_key = true}};

// Which of the three namespaces a command of the SUBSCRIBE family works on.
struct Space {
  const char* subscribe;
  const char* unsubscribe;
  bool (PubSub::*enter)(Client*, BytesView);
  bool (PubSub::*leave)(Client*, BytesView);
  std::set<Bytes, std::less<>> Client::*names;
};
constexpr Space kChannels = {"subscribe", "unsubscribe", &PubSub::Subscribe, &PubSub::Unsubscribe,
                             &Client::channels};
constexpr Space kPatterns = {"psubscribe", "punsubscribe", &PubSub::PatternSubscribe,
                             &PubSub::PatternUnsubscribe, &Client::patterns};
constexpr Space kShardChannels = {"ssubscribe", "sunsubscribe", &PubSub::ShardSubscribe,
                                  &PubSub::ShardUnsubscribe, &Client::shard_channels};

// What a confirmation counts: channels and patterns together, shard channels apart.
size_t CountIn(const Space& space, const Client& client) {
  if (space.names == &Client::shard_channels) return client.shard_channels.size();
  return client.channels.size() + client.patterns.size();
}

// What a command of the family says: a push for each name. In a transaction it must be one item of
// EXEC's reply, or the client would count wrong: the confirmation, or a list of several.
class Confirmations {
 public:
  Confirmations(Context& ctx, const Space& space) : ctx_(ctx), space_(space) {}

  void Add(const char* kind, Reply name) {
    const auto count = static_cast<int64_t>(CountIn(space_, ctx_.client));
    Reply push = Reply::Push({Reply::Bulk(kind), std::move(name), Reply::Integer(count)});
    if (ctx_.in_exec) {
      kept_.Add(std::move(push));
    } else {
      ctx_.host.PushTo(ctx_.client.id, push);
    }
  }
  Reply Take() {
    if (!ctx_.in_exec) return Reply::Nothing();
    return kept_.items.size() == 1 ? std::move(kept_.items[0]) : std::move(kept_);
  }

 private:
  Context& ctx_;
  const Space& space_;
  Reply kept_ = Reply::Array();
};

// All names are looked at before one is taken.
std::optional<Reply> RefuseNames(const Space& space, const Client& client,
                                 std::span<const BytesView> names) {
  const auto& known = client.*space.names;
  size_t fresh = 0;
  for (const BytesView name : names) {
    if (name.size() > kNameBytesMax) {
      return Reply::Error("LIMIT", Format("a channel or a pattern has at most %zu bytes; nothing "
                                          "was subscribed to",
                                          kNameBytesMax));
    }
    if (!known.contains(name)) ++fresh;
  }
  if (client.subscriptions() + fresh <= kSubscriptionsMax) return std::nullopt;
  return Reply::Error("LIMIT", Format("a connection has at most %zu subscriptions; nothing was "
                                      "subscribed to, use more connections or patterns",
                                      kSubscriptionsMax));
}

Reply SubscribeIn(const Space& space, Context& ctx, Args& args) {
  if (auto refused = RefuseNames(space, ctx.client, args.rest())) return *refused;
  Confirmations confirmations(ctx, space);
  while (args.More()) {
    const Bytes name(args.Next());
    (ctx.host.pubsub().*space.enter)(&ctx.client, name);
    confirmations.Add(space.subscribe, Reply::Bulk(name));
  }
  return confirmations.Take();
}

// Without names: from all, or one confirmation of nothing.
Reply UnsubscribeIn(const Space& space, Context& ctx, Args& args) {
  std::vector<Bytes> names;
  while (args.More()) names.emplace_back(args.Next());
  if (names.empty())
    names.assign((ctx.client.*space.names).begin(), (ctx.client.*space.names).end());
  Confirmations confirmations(ctx, space);
  for (const Bytes& name : names) {
    (ctx.host.pubsub().*space.leave)(&ctx.client, name);
    confirmations.Add(space.unsubscribe, Reply::Bulk(name));
  }
  if (names.empty()) confirmations.Add(space.unsubscribe, Reply::Nil());
  return confirmations.Take();
}

// SUBSCRIBE channel [channel ...]
Action Subscribe(Context& ctx, Args& args) {
  return SubscribeIn(kChannels, ctx, args);
}
// UNSUBSCRIBE [channel ...]
Action Unsubscribe(Context& ctx, Args& args) {
  return UnsubscribeIn(kChannels, ctx, args);
}
// PSUBSCRIBE pattern [pattern ...]
Action Psubscribe(Context& ctx, Args& args) {
  return SubscribeIn(kPatterns, ctx, args);
}
// PUNSUBSCRIBE [pattern ...]
Action Punsubscribe(Context& ctx, Args& args) {
  return UnsubscribeIn(kPatterns, ctx, args);
}
// SSUBSCRIBE shardchannel [shardchannel ...]
Action Ssubscribe(Context& ctx, Args& args) {
  if (ctx.in_exec) {  // As in Redis, which has no such rule for the other two.
    return Reply::Error("ERR", "SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
  }
  return SubscribeIn(kShardChannels, ctx, args);
}
// SUNSUBSCRIBE [shardchannel ...]
Action Sunsubscribe(Context& ctx, Args& args) {
  return UnsubscribeIn(kShardChannels, ctx, args);
}

// PUBLISH channel message, SPUBLISH shardchannel message
Reply PublishTo(Context& ctx, Args& args, bool shard) {
  const BytesView channel = args.Next();
  const BytesView message = args.Next();
  if (channel.size() > kNameBytesMax || message.size() > kMessageBytesMax) {
    return Reply::Error("LIMIT", Format("a channel has at most %zu bytes and a message at most %zu "
                                        "MB; nothing was sent",
                                        kNameBytesMax, kMessageBytesMax / (1024 * 1024)));
  }
  return Reply::Integer(static_cast<int64_t>(ctx.host.Publish(channel, message, shard)));
}
Action Publish(Context& ctx, Args& args) {
  return PublishTo(ctx, args, false);
}
Action Spublish(Context& ctx, Args& args) {
  return PublishTo(ctx, args, true);
}

// PUBSUB CHANNELS [pattern], PUBSUB SHARDCHANNELS [pattern]
Reply ListChannels(Context& ctx, Args& args, bool shard) {
  if (args.left() > 1) return SubcommandSyntaxReply(args);
  // An empty pattern given matches only the empty name; an empty one to Channels() means all.
  const bool all = args.left() == 0;
  const BytesView pattern = all ? BytesView("*") : args.Next();
  if (auto refused = RefuseLongPattern(pattern)) return *refused;
  Reply list = Reply::Array();
  for (const Bytes& name : ctx.host.pubsub().Channels(pattern, shard)) {
    if (GlobMatch(pattern, name)) list.Add(Reply::Bulk(name));
  }
  return list;
}
Action PubsubChannels(Context& ctx, Args& args) {
  return ListChannels(ctx, args, false);
}
Action PubsubShardchannels(Context& ctx, Args& args) {
  return ListChannels(ctx, args, true);
}

// PUBSUB NUMSUB [channel ...], PUBSUB SHARDNUMSUB [shardchannel ...]
Reply CountSubscribers(Context& ctx, Args& args, bool shard) {
  BoundedReply counts(Reply::Array());
  while (args.More()) {
    const BytesView name = args.Next();
    const size_t subscribers = ctx.host.pubsub().Subscribers(name, shard);
    if (!counts.Add(name, Reply::Integer(static_cast<int64_t>(subscribers)))) break;
  }
  return counts.Take("ask for fewer channels at once");
}
Action PubsubNumsub(Context& ctx, Args& args) {
  return CountSubscribers(ctx, args, false);
}
Action PubsubShardnumsub(Context& ctx, Args& args) {
  return CountSubscribers(ctx, args, true);
}

// PUBSUB NUMPAT
Action PubsubNumpat(Context& ctx, Args&) {
  return Reply::Integer(static_cast<int64_t>(ctx.host.pubsub().patterns()));
}

constexpr const char* kHelp[] = {
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
};

// PUBSUB HELP
Action PubsubHelp(Context&, Args&) {
  return HelpReply("PUBSUB", kHelp);
}

constexpr Argument kSubscribeArguments[] = {
    {.name = "channel", .multiple = true},
};
constexpr Argument kUnsubscribeArguments[] = {
    {.name = "channel", .optional = true, .multiple = true},
};
constexpr Argument kPsubscribePatternArguments[] = {
    {.name = "pattern", .type = Type::kPattern},
};
constexpr Argument kPsubscribeArguments[] = {
    {.name = "pattern",
     .type = Type::kBlock,
     .multiple = true,
     .children = kPsubscribePatternArguments},
};
constexpr Argument kPunsubscribeArguments[] = {
    {.name = "pattern", .type = Type::kPattern, .optional = true, .multiple = true},
};
constexpr Argument kSsubscribeArguments[] = {
    {.name = "shardchannel", .multiple = true},
};
constexpr Argument kSunsubscribeArguments[] = {
    {.name = "shardchannel", .optional = true, .multiple = true},
};
constexpr Argument kPublishArguments[] = {
    {.name = "channel"},
    {.name = "message"},
};
constexpr Argument kSpublishArguments[] = {
    {.name = "shardchannel"},
    {.name = "message"},
};
constexpr Argument kPubsubChannelsArguments[] = {
    {.name = "pattern", .type = Type::kPattern, .optional = true},
};
constexpr Argument kPubsubNumsubArguments[] = {
    {.name = "channel", .optional = true, .multiple = true},
};
constexpr Argument kPubsubShardchannelsArguments[] = {
    {.name = "pattern", .type = Type::kPattern, .optional = true},
};
constexpr Argument kPubsubShardnumsubArguments[] = {
    {.name = "shardchannel", .optional = true, .multiple = true},
};
constexpr CommandSpec kPubsubSubcommands[] = {
    {.name = "CHANNELS",
     .arity = -2,
     .flags = kPubSub | kLoading | kStale,
     .handler = PubsubChannels,
     .summary = "List active channels",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of active channels, and assuming constant time "
                   "pattern matching (relatively short channels and patterns)",
     .arguments = kPubsubChannelsArguments},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = PubsubHelp,
     .summary = "Show helpful text about the different subcommands",
     .since = "6.2.0",
     .group = "pubsub"},
    {.name = "NUMPAT",
     .arity = 2,
     .flags = kPubSub | kLoading | kStale,
     .handler = PubsubNumpat,
     .summary = "Get the count of unique patterns pattern subscriptions",
     .since = "2.8.0",
     .group = "pubsub"},
    {.name = "NUMSUB",
     .arity = -2,
     .flags = kPubSub | kLoading | kStale,
     .handler = PubsubNumsub,
     .summary = "Get the count of subscribers for channels",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
     .arguments = kPubsubNumsubArguments},
    {.name = "SHARDCHANNELS",
     .arity = -2,
     .flags = kPubSub | kLoading | kStale,
     .handler = PubsubShardchannels,
     .summary = "List active shard channels",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of active shard channels, and assuming constant "
                   "time pattern matching (relatively short shard channels).",
     .arguments = kPubsubShardchannelsArguments},
    {.name = "SHARDNUMSUB",
     .arity = -2,
     .flags = kPubSub | kLoading | kStale,
     .handler = PubsubShardnumsub,
     .summary = "Get the count of subscribers for shard channels",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity =
         "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
     .arguments = kPubsubShardnumsubArguments},
};
constexpr CommandSpec kPubSubRows[] = {
    {.name = "SUBSCRIBE",
     .arity = -2,
     .flags = kPubSub | kNoScript | kLoading | kStale,
     .handler = Subscribe,
     .summary = "Listen for messages published to the given channels",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of channels to subscribe to.",
     .arguments = kSubscribeArguments},
    {.name = "UNSUBSCRIBE",
     .arity = -1,
     .flags = kPubSub | kNoScript | kLoading | kStale,
     .handler = Unsubscribe,
     .summary = "Stop listening for messages posted to the given channels",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of clients already subscribed to a channel.",
     .arguments = kUnsubscribeArguments},
    {.name = "PSUBSCRIBE",
     .arity = -2,
     .flags = kPubSub | kNoScript | kLoading | kStale,
     .handler = Psubscribe,
     .summary = "Listen for messages published to channels matching the given patterns",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of patterns the client is already subscribed to.",
     .arguments = kPsubscribeArguments},
    {.name = "PUNSUBSCRIBE",
     .arity = -1,
     .flags = kPubSub | kNoScript | kLoading | kStale,
     .handler = Punsubscribe,
     .summary = "Stop listening for messages posted to channels matching the given patterns",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N+M) where N is the number of patterns the client is already subscribed and "
                   "M is the number of total patterns subscribed in the system (by any client).",
     .arguments = kPunsubscribeArguments},
    {.name = "SSUBSCRIBE",
     .arity = -2,
     .flags = kPubSub | kNoScript | kLoading | kStale,
     .handler = Ssubscribe,
     .summary = "Listen for messages published to the given shard channels",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of shard channels to subscribe to.",
     .keys = kShardChannelKeys,
     .arguments = kSsubscribeArguments},
    {.name = "SUNSUBSCRIBE",
     .arity = -1,
     .flags = kPubSub | kNoScript | kLoading | kStale,
     .handler = Sunsubscribe,
     .summary = "Stop listening for messages posted to the given shard channels",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of clients already subscribed to a shard channel.",
     .keys = kShardChannelKeys,
     .arguments = kSunsubscribeArguments},
    {.name = "PUBLISH",
     .arity = 3,
     .flags = kPubSub | kLoading | kStale | kFast,
     .handler = Publish,
     .summary = "Post a message to a channel",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N+M) where N is the number of clients subscribed to the receiving channel "
                   "and M is the total number of subscribed patterns (by any client).",
     .arguments = kPublishArguments},
    {.name = "SPUBLISH",
     .arity = 3,
     .flags = kPubSub | kLoading | kStale | kFast,
     .handler = Spublish,
     .summary = "Post a message to a shard channel",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity =
         "O(N) where N is the number of clients subscribed to the receiving shard channel.",
     .keys = kOneShardChannelKeys,
     .arguments = kSpublishArguments},
    {.name = "PUBSUB",
     .arity = -2,
     .summary = "A container for Pub/Sub commands",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "Depends on subcommand.",
     .subcommands = kPubsubSubcommands},
};

}  // namespace

std::span<const CommandSpec> PubSubCommands() {
  return kPubSubRows;
}

}  // namespace lockstep
