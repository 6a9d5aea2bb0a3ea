// CLIENT TRACKING and its kin: which invalidations a connection wants (Redis's tracking.c: rules,
// their order and their texts).
#include <algorithm>

#include "commands/client_command.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

constexpr size_t kPrefixesMax = 1024;  // Each is held against all others.

// What one CLIENT TRACKING command asks for.
struct Wish {
  TrackingOptions options;
  std::vector<Bytes> prefixes;  // As given; options.prefixes once they are known not to overlap.
};

Reply Refusal(BytesView sentence) {
  return Reply::Error("ERR", sentence);
}

std::optional<Reply> TakeRedirect(Context& ctx, BytesView word, ClientId* redirect) {
  if (*redirect != ClientId{}) {
    return Refusal("A client can only redirect to a single other client");
  }
  int64_t id = 0;
  if (!ParseInt64(word, &id)) return NotAnIntegerReply();
  // It may go away later, but a client that never was is a mistake of the caller.
  if (ctx.host.FindClient({static_cast<uint64_t>(id)}) == nullptr) {
    return Refusal("The client ID you want redirect to does not exist");
  }
  *redirect = {static_cast<uint64_t>(id)};
  return std::nullopt;
}

std::optional<Reply> ReadWish(Context& ctx, std::span<const BytesView> words, Wish* wish) {
  for (size_t i = 0; i < words.size(); ++i) {
    const bool more = i + 1 < words.size();
    if (EqualsIgnoreCase(words[i], "redirect") && more) {
      if (auto refused = TakeRedirect(ctx, words[++i], &wish->options.redirect)) return refused;
    } else if (EqualsIgnoreCase(words[i], "prefix") && more) {
      wish->prefixes.emplace_back(words[++i]);
    } else if (EqualsIgnoreCase(words[i], "bcast")) {
      wish->options.bcast = true;
    } else if (EqualsIgnoreCase(words[i], "optin")) {
      wish->options.optin = true;
    } else if (EqualsIgnoreCase(words[i], "optout")) {
      wish->options.optout = true;
    } else if (EqualsIgnoreCase(words[i], "noloop")) {
      wish->options.noloop = true;
    } else {
      return SyntaxErrorReply();
    }
  }
  return std::nullopt;
}

std::optional<Reply> RefuseTooMany(const Client& client, const std::vector<Bytes>& prefixes) {
  const size_t known = client.tracking ? client.tracking_options.prefixes.size() : 0;
  const bool fits = known + prefixes.size() <= kPrefixesMax &&
                    std::all_of(prefixes.begin(), prefixes.end(), [](const Bytes& prefix) {
                      return prefix.size() <= kNameBytesMax;
                    });
  if (fits) return std::nullopt;
  return Reply::Error("LIMIT", Format("a connection tracks at most %zu prefixes of at most %zu "
                                      "bytes; nothing was changed",
                                      kPrefixesMax, kNameBytesMax));
}

bool Overlap(BytesView a, BytesView b) {
  const size_t common = std::min(a.size(), b.size());
  return a.substr(0, common) == b.substr(0, common);
}

// Overlapping prefixes would tell a client twice of one change.
std::optional<Reply> RefuseOverlaps(const Client& client, const std::vector<Bytes>& prefixes) {
  const auto clash = [](BytesView one, BytesView which, BytesView other) {
    return Refusal("Prefix '" + Bytes(one) + "' overlaps with " + Bytes(which) + " prefix '" +
                   Bytes(other) + "'. Prefixes for a single client must not overlap.");
  };
  for (size_t i = 0; i < prefixes.size(); ++i) {
    if (client.tracking) {
      for (const Bytes& existing : client.tracking_options.prefixes) {
        if (Overlap(existing, prefixes[i])) return clash(prefixes[i], "an existing", existing);
      }
    }
    for (size_t j = i + 1; j < prefixes.size(); ++j) {
      if (Overlap(prefixes[i], prefixes[j]))
        return clash(prefixes[i], "another provided", prefixes[j]);
    }
  }
  return std::nullopt;
}

// Whether the options go together, and with what the connection already does.
std::optional<Reply> RefuseContradictions(const Client& client, const Wish& wish) {
  const TrackingOptions& now = client.tracking_options;
  const TrackingOptions& next = wish.options;
  if (!next.bcast && !wish.prefixes.empty()) {
    return Refusal("PREFIX option requires BCAST mode to be enabled");
  }
  if (client.tracking && now.bcast != next.bcast) {
    return Refusal(
        "You can't switch BCAST mode on/off before disabling tracking for this client, and then "
        "re-enabling it with a different mode.");
  }
  if (next.bcast && (next.optin || next.optout)) {
    return Refusal("OPTIN and OPTOUT are not compatible with BCAST");
  }
  if (next.optin && next.optout) {
    return Refusal("You can't specify both OPTIN mode and OPTOUT mode");
  }
  if (client.tracking && ((next.optin && now.optout) || (next.optout && now.optin))) {
    return Refusal(
        "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then "
        "re-enabling it with a different mode.");
  }
  if (auto refused = RefuseTooMany(client, wish.prefixes)) return refused;
  return RefuseOverlaps(client, wish.prefixes);
}

Reply FlagsOf(Context& ctx) {
  const TrackingOptions& options = ctx.client.tracking_options;
  Reply flags = Reply::Set();
  const auto add = [&flags](bool set, const char* name) {
    if (set) flags.Add(Reply::Bulk(name));
  };
  if (!ctx.client.tracking) return flags.Add(Reply::Bulk("off"));
  add(true, "on");
  add(options.bcast, "bcast");
  add(options.optin, "optin");
  add(options.optin && options.caching, "caching-yes");
  add(options.optout, "optout");
  add(options.optout && options.caching, "caching-no");
  add(options.noloop, "noloop");
  add(options.redirect != ClientId{} && ctx.host.FindClient(options.redirect) == nullptr,
      "broken_redirect");
  return flags;
}

int64_t RedirectOf(const Client& client) {
  return client.tracking ? static_cast<int64_t>(client.tracking_options.redirect.value) : -1;
}

}  // namespace

// CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]
Action ClientTracking(Context& ctx, Args& args) {
  const BytesView status = args.Next();
  Wish wish;
  if (auto refused = ReadWish(ctx, args.rest(), &wish)) return *refused;
  bool on = false;
  if (!ParseOnOff(status, &on)) return SyntaxErrorReply();
  if (!on) {
    ctx.client.tracking = false;
    ctx.client.tracking_options = {};
    ctx.host.OnTracking(ctx.client);
    return Reply::Ok();
  }
  if (auto refused = RefuseContradictions(ctx.client, wish)) return *refused;

  // Broadcasting without a prefix means every key: the empty prefix.
  if (wish.options.bcast && wish.prefixes.empty()) wish.prefixes.emplace_back();
  auto kept = std::move(ctx.client.tracking_options.prefixes);
  ctx.client.tracking_options = wish.options;
  ctx.client.tracking_options.prefixes = std::move(kept);
  ctx.client.tracking_options.prefixes.insert(wish.prefixes.begin(), wish.prefixes.end());
  ctx.client.tracking = true;
  ctx.host.OnTracking(ctx.client);
  return Reply::Ok();
}

// CLIENT TRACKINGINFO
Action ClientTrackinginfo(Context& ctx, Args&) {
  Reply prefixes = Reply::Array();
  if (ctx.client.tracking) {
    for (const Bytes& prefix : ctx.client.tracking_options.prefixes) {
      prefixes.Add(Reply::Bulk(prefix));
    }
  }
  Reply reply = Reply::Map();
  reply.Add("flags", FlagsOf(ctx));
  reply.Add("redirect", Reply::Integer(RedirectOf(ctx.client)));
  reply.Add("prefixes", std::move(prefixes));
  return reply;
}

// CLIENT CACHING YES|NO
Action ClientCaching(Context& ctx, Args& args) {
  if (!ctx.client.tracking) {
    return Refusal(
        "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
        "OPTOUT mode enabled");
  }
  TrackingOptions& options = ctx.client.tracking_options;
  const BytesView mode = args.Next();
  if (EqualsIgnoreCase(mode, "yes")) {
    if (!options.optin) {
      return Refusal("CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
    }
  } else if (EqualsIgnoreCase(mode, "no")) {
    if (!options.optout) {
      return Refusal("CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    }
  } else {
    return SyntaxErrorReply();
  }
  options.caching = true;
  return Reply::Ok();
}

// CLIENT GETREDIR
Action ClientGetredir(Context& ctx, Args&) {
  return Reply::Integer(RedirectOf(ctx.client));
}

}  // namespace lockstep
