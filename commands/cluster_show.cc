// The cluster as Redis Cluster's clients and tools read it.
#include <algorithm>
#include <cinttypes>

#include "commands/cluster_command.h"
#include "commands/shared_replies.h"
#include "src/base/hash.h"

namespace lockstep {
namespace {

using Member = ClusterView::Member;

const Member* Self(const ClusterView& view) {
  const auto at = std::find_if(view.members.begin(), view.members.end(),
                               [](const Member& member) { return member.self; });
  return at == view.members.end() ? nullptr : &*at;
}

// Slots that have an owner, by whether the owner is thought to live.
struct SlotCount {
  int64_t ok = 0;
  int64_t failed = 0;
};
SlotCount CountSlots(const ClusterView& view) {
  SlotCount count;
  for (const Member& member : view.members) {
    for (const auto& [first, last] : member.slots) {
      (member.failed ? count.failed : count.ok) += last - first + 1;
    }
  }
  return count;
}

bool IsIp(BytesView host) {
  return host.find(':') != BytesView::npos || std::all_of(host.begin(), host.end(), [](char c) {
           return c == '.' || (c >= '0' && c <= '9');
         });
}

// A node in a row of CLUSTER SLOTS: where, who, and further metadata (none).
Reply SlotsNode(const Member& member) {
  return Reply::Array({Reply::Bulk(member.host), Reply::Integer(member.port),
                       Reply::Bulk(member.name), Reply::Map()});
}

// A line of CLUSTER NODES: id, address, flags, master, ping sent, pong received, epoch, link,
// slots.
Bytes NodeLine(const Member& member, int64_t wall_ms, uint64_t epoch) {
  // Host names go behind a comma; where Redis has an address we repeat the name.
  Bytes line =
      Format("%s %s:%u@%u", member.name.c_str(), member.host.c_str(), member.port, member.bus_port);
  if (!IsIp(member.host)) line += "," + member.host;
  const int64_t pong = member.self ? 0 : wall_ms - member.heard_ms_ago;
  line += Format(" %smaster%s - 0 %" PRId64 " %" PRIu64 " %s", member.self ? "myself," : "",
                 member.failed ? ",fail" : "", pong, epoch,
                 member.self || member.connected ? "connected" : "disconnected");
  for (const auto& [first, last] : member.slots) {
    line += first == last ? Format(" %u", first) : Format(" %u-%u", first, last);
  }
  return line;
}

}  // namespace

// CLUSTER SLOTS: one row a range, in order of slot.
Action ClusterSlots(Context& ctx, Args&) {
  const ClusterView view = ViewFor(ctx);
  std::vector<std::pair<std::pair<uint16_t, uint16_t>, const Member*>> rows;
  for (const Member& member : view.members) {
    for (const auto& range : member.slots) rows.emplace_back(range, &member);
  }
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  Reply list = Reply::Array();
  for (const auto& [range, member] : rows) {
    list.Add(Reply::Array(
        {Reply::Integer(range.first), Reply::Integer(range.second), SlotsNode(*member)}));
  }
  return list;
}

// CLUSTER SHARDS: each member is the only node, and so the master, of a shard of its own.
Action ClusterShards(Context& ctx, Args&) {
  const ClusterView view = ViewFor(ctx);
  Reply list = Reply::Array();
  for (const Member& member : view.members) {
    Reply slots = Reply::Array();
    for (const auto& [first, last] : member.slots) {
      slots.Add(Reply::Integer(first));
      slots.Add(Reply::Integer(last));
    }
    Reply node = Reply::Map();
    node.Add("id", Reply::Bulk(member.name));
    node.Add("port", Reply::Integer(member.port));
    node.Add("ip", Reply::Bulk(member.host));
    node.Add("endpoint", Reply::Bulk(member.host));
    node.Add("role", Reply::Bulk("master"));
    node.Add("replication-offset", Reply::Integer(0));
    node.Add("health", Reply::Bulk(member.failed ? "fail" : "online"));
    Reply shard = Reply::Map();
    shard.Add("slots", std::move(slots));
    shard.Add("nodes", Reply::Array({std::move(node)}));
    list.Add(std::move(shard));
  }
  return list;
}

// CLUSTER NODES
Action ClusterNodes(Context& ctx, Args&) {
  const ClusterView view = ViewFor(ctx);
  Bytes lines;
  for (const Member& member : view.members) {
    lines += NodeLine(member, ctx.host.WallClockUs() / 1000, view.epoch) + '\n';
  }
  return Reply::Verbatim(std::move(lines));
}

// CLUSTER INFO
Action ClusterInfo(Context& ctx, Args&) {
  const ClusterView view = ctx.host.Cluster();
  const SlotCount slots = CountSlots(view);
  const auto with_slots = std::count_if(view.members.begin(), view.members.end(),
                                        [](const Member& member) { return !member.slots.empty(); });
  Bytes text;
  const auto line = [&text](const char* name, int64_t value) {
    text += Format("%s:%" PRId64 "\r\n", name, value);
  };
  text += Format("cluster_state:%s\r\n", view.ok ? "ok" : "fail");
  line("cluster_slots_assigned", slots.ok + slots.failed);
  line("cluster_slots_ok", slots.ok);
  line("cluster_slots_pfail", 0);
  line("cluster_slots_fail", slots.failed);
  line("cluster_known_nodes", static_cast<int64_t>(view.members.size()));
  line("cluster_size", with_slots);
  line("cluster_current_epoch", static_cast<int64_t>(view.epoch));
  line("cluster_my_epoch", static_cast<int64_t>(view.epoch));
  line("cluster_stats_messages_sent", static_cast<int64_t>(view.messages_sent));
  line("cluster_stats_messages_received", static_cast<int64_t>(view.messages_received));
  line("total_cluster_links_buffer_limit_exceeded", 0);
  return Reply::Verbatim(std::move(text));
}

// CLUSTER LINKS: ours to each peer that is connected.
Action ClusterLinks(Context& ctx, Args&) {
  Reply list = Reply::Array();
  for (const Member& member : ctx.host.Cluster().members) {
    if (member.self || !member.connected) continue;
    const int64_t created_ms = ctx.host.WallClockUs() / 1000 - member.link_up_ms;
    const auto buffered = static_cast<int64_t>(member.link_buffered);
    Reply link = Reply::Map();
    link.Add("direction", Reply::Bulk("to"));
    link.Add("node", Reply::Bulk(member.name));
    link.Add("create-time", Reply::Integer(created_ms));
    link.Add("events", Reply::Bulk(buffered > 0 ? "rw" : "r"));
    link.Add("send-buffer-allocated", Reply::Integer(buffered));
    link.Add("send-buffer-used", Reply::Integer(buffered));
    list.Add(std::move(link));
  }
  return list;
}

// CLUSTER MYID, and CLUSTER MYSHARDID: a shard goes by the name of its one node.
Action ClusterMyid(Context& ctx, Args&) {
  const ClusterView view = ctx.host.Cluster();
  const Member* self = Self(view);
  return Reply::Bulk(self == nullptr ? Bytes(40, '0') : self->name);
}

// CLUSTER REPLICAS node-id: there are none, but the node must exist.
Action ClusterReplicas(Context& ctx, Args& args) {
  const BytesView name = args.Next();
  for (const Member& member : ctx.host.Cluster().members) {
    if (member.name == name) return Reply::Array();
  }
  // What stands at the end of an error has its line ends cut off, as in Redis.
  const BytesView shown = UpToZero(name);
  return Reply::Error("ERR", "Unknown node " +
                                 Bytes(shown.substr(0, shown.find_last_not_of("\r\n") + 1)));
}

}  // namespace lockstep
