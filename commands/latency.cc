// LATENCY: what took long on this node, by event and by command.
#include <algorithm>
#include <cinttypes>

#include "commands/host.h"
#include "commands/latency_graph.h"
#include "commands/rows.h"
#include "commands/shared_replies.h"

namespace lockstep {
namespace {

using Type = Argument::Type;

constexpr unsigned kHistogramBitsMax = 40;  // As far as the histograms reach.

// LATENCY LATEST: per event its name, when it last was too long, how long, and the longest ever.
Action Latest(Context& ctx, Args&) {
  Reply list = Reply::Array();
  for (const auto& [name, event] : ctx.host.latency().events()) {
    const LatencyMonitor::Sample& last = event.samples.back();
    list.Add(Reply::Array({Reply::Bulk(name), Reply::Integer(last.unix_seconds),
                           Reply::Integer(last.ms), Reply::Integer(event.max_ms)}));
  }
  return list;
}

// LATENCY HISTORY event: pairs of time and milliseconds, oldest first.
Action History(Context& ctx, Args& args) {
  Reply list = Reply::Array();
  const auto& events = ctx.host.latency().events();
  const auto at = events.find(args.Next());
  if (at == events.end()) return list;
  for (const LatencyMonitor::Sample& sample : at->second.samples) {
    list.Add(Reply::Array({Reply::Integer(sample.unix_seconds), Reply::Integer(sample.ms)}));
  }
  return list;
}

// LATENCY GRAPH event
Action Graph(Context& ctx, Args& args) {
  const BytesView name = args.Next();
  const auto& events = ctx.host.latency().events();
  const auto at = events.find(name);
  if (at == events.end()) {
    return Reply::Error("ERR", "No samples available for event '" + Bytes(UpToZero(name)) + "'");
  }
  const int64_t now = ctx.host.WallClockUs() / kUsPerSecond;
  return Reply::Verbatim(LatencyGraph(name, at->second, now));
}

// LATENCY RESET [event ...]: how many were forgotten.
Action Reset(Context& ctx, Args& args) {
  LatencyMonitor& latency = ctx.host.latency();
  if (!args.More()) return Reply::Integer(static_cast<int64_t>(latency.ResetAll()));
  int64_t count = 0;
  while (args.More()) count += latency.Reset(args.Next()) ? 1 : 0;
  return Reply::Integer(count);
}

// What an event's name means and what an operator can do about it.
const char* AdviceFor(BytesView event) {
  if (event == "command" || event == "fast-command") {
    return "see SLOWLOG GET for the commands, and LATENCY HISTOGRAM for their distribution";
  }
  if (event == "disk-sync") {
    return "the disk is slow to make writes durable, and nothing is acknowledged before it is: use "
           "a faster disk, or one that this node does not share";
  }
  if (event == "loop") {
    return "the node did not get to run: look for a busy machine, swapping, or a paused guest";
  }
  return "no advice is known for this event";
}

// LATENCY DOCTOR
Action Doctor(Context& ctx, Args&) {
  const LatencyMonitor& latency = ctx.host.latency();
  if (!latency.enabled()) {
    return Reply::Verbatim(
        "I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this node. You may "
        "use "
        "\"CONFIG SET latency-monitor-threshold <milliseconds>.\" in order to enable it.\n");
  }
  if (latency.events().empty()) {
    return Reply::Verbatim(
        "Dave, no latency spike was observed during the lifetime of this node, not in the "
        "slightest "
        "bit. I honestly think you ought to sit down calmly, take a stress pill, and think things "
        "over.\n");
  }
  Bytes report = "Dave, I have observed latency spikes in this node.\n\n";
  for (const auto& [name, event] : latency.events()) {
    int64_t sum = 0;
    for (const LatencyMonitor::Sample& sample : event.samples) sum += sample.ms;
    const auto count = static_cast<int64_t>(event.samples.size());
    report += Format("%s: %" PRId64 " latency spikes (average %" PRId64
                     "ms). Worst all time event "
                     "%" PRId64 "ms.\n    Advice: %s.\n",
                     name.c_str(), count, sum / count, event.max_ms, AdviceFor(name));
  }
  return Reply::Verbatim(std::move(report));
}

// {calls, histogram_usec: {2^k microseconds: calls that took no longer}}; as in Redis only steps in
// which the count grows.
Reply HistogramOf(const Stats::PerCommand& command) {
  Reply steps = Reply::Map();
  uint64_t seen = 0;
  for (unsigned bits = 0; bits <= kHistogramBitsMax && seen < command.latency.count(); ++bits) {
    const uint64_t us = uint64_t{1} << bits;
    const uint64_t count = command.latency.CountAtMost(us);
    if (count == seen) continue;
    seen = count;
    steps.items.push_back(Reply::Integer(static_cast<int64_t>(us)));
    steps.items.push_back(Reply::Integer(static_cast<int64_t>(count)));
  }
  Reply map = Reply::Map();
  map.Add("calls", Reply::Integer(static_cast<int64_t>(command.latency.count())));
  map.Add("histogram_usec", std::move(steps));
  return map;
}

// LATENCY HISTOGRAM [command ...]: a container stands for its subcommands; what was never called is
// left out.
Action HistogramCommand(Context& ctx, Args& args) {
  const CommandTable& table = CommandTable::Get();
  BoundedReply map(Reply::Map());
  const auto add = [&](const CommandSpec& leaf) {
    const Stats::PerCommand& command = ctx.host.stats().Of(table.LeafNumber(leaf));
    return command.latency.count() == 0 || map.Add(table.LeafName(leaf), HistogramOf(command));
  };
  const auto add_with_subcommands = [&](const CommandSpec& spec) {
    return add(spec) && std::all_of(spec.subcommands.begin(), spec.subcommands.end(), add);
  };
  if (!args.More()) {
    for (const CommandSpec* spec : table.all()) add_with_subcommands(*spec);
  }
  while (args.More()) {
    const FoundCommand found = table.FindByName(args.Next());
    if (found.command != nullptr && !add_with_subcommands(found.leaf())) break;
  }
  return map.Take("ask for fewer commands at once");
}

constexpr const char* kHelp[] = {
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the "
    "specified "
    "command names.",
    "    If no commands are specified then all histograms are replied.",
};

// LATENCY HELP
Action Help(Context&, Args&) {
  return HelpReply("LATENCY", kHelp);
}

constexpr const char* kPerNodeTips[] = {"nondeterministic_output", "request_policy:all_nodes",
                                        "response_policy:special"};
constexpr Argument kLatencyHistogramArguments[] = {
    {.name = "command", .optional = true, .multiple = true},
};
constexpr Argument kLatencyEventArguments[] = {
    {.name = "event"},
};
constexpr Argument kLatencyResetArguments[] = {
    {.name = "event", .optional = true, .multiple = true},
};
constexpr const char* kLatencyResetTips[] = {"request_policy:all_nodes",
                                             "response_policy:all_succeeded"};
constexpr CommandSpec kLatencySubcommands[] = {
    {.name = "DOCTOR",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = Doctor,
     .summary = "Return a human readable latency analysis report.",
     .since = "2.8.13",
     .group = "server",
     .tips = kPerNodeTips},
    {.name = "GRAPH",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = Graph,
     .summary = "Return a latency graph for the event.",
     .since = "2.8.13",
     .group = "server",
     .arguments = kLatencyEventArguments,
     .tips = kPerNodeTips},
    {.name = "HELP",
     .arity = 2,
     .flags = kLoading | kStale,
     .handler = Help,
     .summary = "Show helpful text about the different subcommands.",
     .since = "2.8.13",
     .group = "server"},
    {.name = "HISTOGRAM",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = HistogramCommand,
     .summary = "Return the cumulative distribution of latencies of a subset of commands or all.",
     .since = "7.0.0",
     .group = "server",
     .complexity =
         "O(N) where N is the number of commands with latency information being retrieved.",
     .arguments = kLatencyHistogramArguments,
     .tips = kPerNodeTips},
    {.name = "HISTORY",
     .arity = 3,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = History,
     .summary = "Return timestamp-latency samples for the event.",
     .since = "2.8.13",
     .group = "server",
     .arguments = kLatencyEventArguments,
     .tips = kPerNodeTips},
    {.name = "LATEST",
     .arity = 2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = Latest,
     .summary = "Return the latest latency samples for all events.",
     .since = "2.8.13",
     .group = "server",
     .tips = kPerNodeTips},
    {.name = "RESET",
     .arity = -2,
     .flags = kAdmin | kNoScript | kLoading | kStale,
     .handler = Reset,
     .summary = "Reset latency data for one or more events.",
     .since = "2.8.13",
     .group = "server",
     .arguments = kLatencyResetArguments,
     .tips = kLatencyResetTips},
};
constexpr CommandSpec kLatencyRow = {.name = "LATENCY",
                                     .arity = -2,
                                     .summary = "A container for latency diagnostics commands",
                                     .since = "2.8.13",
                                     .group = "server",
                                     .complexity = "Depends on subcommand.",
                                     .subcommands = kLatencySubcommands};

}  // namespace

CommandSpec LatencyCommand() {
  return kLatencyRow;
}

}  // namespace lockstep
