// The cluster as its operator sees it, and the few things that may be done to it.
#include <algorithm>
#include <cinttypes>

#include "commands/cluster_command.h"
#include "commands/control_machine.h"
#include "commands/shared_replies.h"
#include "src/base/limits.h"

namespace lockstep {
namespace {

using Group = ClusterView::Group;
using Member = ClusterView::Member;

constexpr size_t kHostBytesMax = 255;  // RFC 1035.

Reply Number(uint64_t n) {
  return Reply::Integer(static_cast<int64_t>(n));
}

Reply Ids(const std::vector<NodeId>& ids) {
  Reply list = Reply::Array();
  for (const NodeId id : ids) list.Add(Number(id.value));
  return list;
}

Reply NodeRow(const Member& member, const std::vector<Group>& groups) {
  Reply leads = Reply::Array();
  for (const Group& group : groups) {
    if (group.leader == member.id) leads.Add(Reply::Bulk(group.name));
  }
  size_t slots = 0;
  for (const auto& [first, last] : member.slots) slots += size_t{last} - first + 1;
  const char* state = member.self        ? "self"
                      : member.failed    ? "failed"
                      : member.connected ? "up"
                                         : "connecting";
  Reply row = Reply::Map();
  row.Add("id", Number(member.id.value));
  row.Add("name", Reply::Bulk(member.name));
  row.Add("host", Reply::Bulk(member.host));
  row.Add("port", Number(member.port));
  row.Add("bus-port", Number(member.bus_port));
  row.Add("zone", Reply::Bulk(member.zone));
  row.Add("state", Reply::Bulk(state));
  row.Add("role", Reply::Bulk(member.voter ? "voter" : "learner"));
  row.Add("heard-ms-ago", Reply::Integer(member.heard_ms_ago));
  row.Add("leads", std::move(leads));
  row.Add("slots", Number(slots));
  return row;
}

Reply GroupRow(const Group& group) {
  Reply row = Reply::Map();
  row.Add("id", Number(group.id.value));
  row.Add("name", Reply::Bulk(group.name));
  row.Add("role", Reply::Bulk(group.role));
  row.Add("leader", group.leader == kNoNode ? Reply::Nil() : Number(group.leader.value));
  row.Add("wanted", group.wanted == kNoNode ? Reply::Nil() : Number(group.wanted.value));
  row.Add("term", Number(group.term.value));
  row.Add("commit", Number(group.commit.value));
  row.Add("applied", Number(group.applied.value));
  row.Add("last", Number(group.last.value));
  row.Add("snapshot", Number(group.snapshot.value));
  row.Add("voters", Ids(group.voters));
  row.Add("learners", Ids(group.learners));
  return row;
}

// What is under way: a membership change of a group.
Reply Moves(const ClusterView& view) {
  Reply moves = Reply::Array();
  for (const Group& group : view.groups) {
    if (!group.changing) continue;
    Reply row = Reply::Map();
    row.Add("group", Reply::Bulk(group.name));
    row.Add("voters", Ids(group.voters));
    row.Add("learners", Ids(group.learners));
    moves.Add(std::move(row));
  }
  return moves;
}

const char* StateOf(const ClusterView& view) {
  if (view.cluster == ClusterId{}) return "forming";
  return view.ok ? "ok" : "fail";
}

std::optional<NodeId> ParseNodeId(BytesView word) {
  uint64_t id = 0;
  if (!ParseUint64(word, &id) || id == 0 || id > kNodeIdMax) return std::nullopt;
  return NodeId{id};
}

Reply BadNodeId(BytesView word) {
  return Reply::Error("ERR",
                      "'" + Bytes(word.substr(0, 128)) +
                          "' is no node: give its number, 1 to 1000000, or its 40 hex digits "
                          "from CLUSTER NODES; nothing was changed");
}

// By number, or by name: redis-cli --cluster del-node says CLUSTER FORGET with a name.
std::optional<NodeId> FindNode(const ClusterView& view, BytesView word) {
  for (const Member& member : view.members) {
    if (member.name == word) return member.id;
  }
  return ParseNodeId(word);
}

const Group* FindGroup(const ClusterView& view, BytesView word) {
  uint64_t id = 0;
  const bool is_number = ParseUint64(word, &id);
  for (const Group& group : view.groups) {
    if (EqualsIgnoreCase(group.name, word) || (is_number && group.id.value == id)) return &group;
  }
  return nullptr;
}

}  // namespace

ClusterView ViewFor(Context& ctx) {
  ClusterView view = ctx.host.Cluster();
  for (Member& member : view.members) {
    uint16_t port = 0;
    if (member.host.empty()) (void)ParseAddress(ctx.client.local_address, &member.host, &port);
  }
  return view;
}

bool ParseAddress(BytesView text, Bytes* host, uint16_t* port) {
  const size_t colon = text.rfind(':');
  if (colon == BytesView::npos) return false;
  BytesView name = text.substr(0, colon);
  if (name.size() >= 2 && name.front() == '[' && name.back() == ']') {
    name = name.substr(1, name.size() - 2);
  } else if (name.find(':') != BytesView::npos) {
    return false;  // Where would the address end and the port begin?
  }
  uint64_t number = 0;
  if (!ParseUint64(text.substr(colon + 1), &number) || number == 0 || number > UINT16_MAX) {
    return false;
  }
  const bool plain =
      std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 127; });
  if (name.empty() || name.size() > kHostBytesMax || !plain) return false;
  *host = name;
  *port = static_cast<uint16_t>(number);
  return true;
}

// CLUSTER STATUS
Action ClusterStatus(Context& ctx, Args&) {
  const ClusterView view = ViewFor(ctx);
  Reply nodes = Reply::Array();
  for (const Member& member : view.members) nodes.Add(NodeRow(member, view.groups));
  Reply groups = Reply::Array();
  for (const Group& group : view.groups) groups.Add(GroupRow(group));
  Reply status = Reply::Map();
  status.Add("state", Reply::Bulk(StateOf(view)));
  status.Add("waiting-for",
             view.waiting_for.empty() ? Reply::Nil() : Reply::Bulk(view.waiting_for));
  status.Add("cluster-id", Reply::Bulk(Format("%016" PRIx64, view.cluster.value)));
  status.Add("epoch", Number(view.epoch));
  status.Add("self", Number(ctx.host.self().value));
  status.Add("nodes", std::move(nodes));
  status.Add("groups", std::move(groups));
  status.Add("moves", Moves(view));
  return status;
}

// CLUSTER ADD id host:bus-port. Idempotent.
Action ClusterAdd(Context&, Args& args) {
  const BytesView id_word = args.Next();
  const auto id = ParseNodeId(id_word);
  if (!id) return BadNodeId(id_word);
  NodeRecord node;
  node.id = *id;
  if (!ParseAddress(args.Next(), &node.host, &node.bus_port)) {
    return Reply::Error("ERR",
                        "give the address of the node's bus as host:bus-port, or [host]:bus-port "
                        "for IPv6; nothing was changed");
  }
  return Propose{kControlGroup, EncodeAddNode(node)};
}

// CLUSTER REMOVE id, CLUSTER FORGET id: for all time. Idempotent.
Action ClusterRemove(Context& ctx, Args& args) {
  const BytesView word = args.Next();
  const auto id = FindNode(ctx.host.Cluster(), word);
  if (!id) return BadNodeId(word);
  return Propose{kControlGroup, EncodeRemoveNode(*id)};
}

// CLUSTER REBALANCE
Action ClusterRebalance(Context& ctx, Args&) {
  ctx.host.Rebalance();
  return Reply::Ok();
}

// CLUSTER LEADER group id: OK means that the leader has been asked to hand over.
Action ClusterLeader(Context& ctx, Args& args) {
  const ClusterView view = ctx.host.Cluster();
  const BytesView group_word = args.Next();
  const Group* group = FindGroup(view, group_word);
  if (group == nullptr) {
    return Reply::Error("ERR", "there is no group '" + Bytes(group_word.substr(0, 128)) +
                                   "'; CLUSTER STATUS lists them; nothing was changed");
  }
  const BytesView node_word = args.Next();
  const auto node = FindNode(view, node_word);
  if (!node) return BadNodeId(node_word);
  const Result<void> asked = ctx.host.TransferLeadership(group->id, *node);
  return asked ? Reply::Ok() : Reply::Error("ERR", asked.error().message);
}

// What Redis Cluster's administration is called here.
Action ClusterInstead(Context&, Args& args) {
  struct Hint {
    const char* name;
    const char* instead;
  };
  static constexpr Hint kHints[] = {
      {"meet", "use CLUSTER ADD <id> <host:bus-port>"},
      {"failover",
       "use CLUSTER LEADER <group> <id> to move leadership; failover happens by itself"},
      {"replicate", "every node replicates the groups it belongs to; use CLUSTER ADD to add one"},
      {"reset",
       "use CLUSTER REMOVE <id> on a node that stays, then start this one with an empty dir "
       "and a new id"},
      {"saveconfig", "membership is in the replicated log and always on disk"},
      {"bumpepoch", "the epoch follows from membership; use CLUSTER ADD and CLUSTER REMOVE"},
      {"set-config-epoch", "the epoch follows from membership; use CLUSTER ADD and CLUSTER REMOVE"},
      {"count-failure-reports", "failures are seen by Raft heartbeats; use CLUSTER STATUS"},
  };
  const Bytes name = Lower(args.all()[1]);
  const char* instead = "slots follow the members by themselves; use CLUSTER REBALANCE";
  for (const Hint& hint : kHints) {
    if (name == hint.name) instead = hint.instead;
  }
  return Reply::Error("ERR", "CLUSTER " + Upper(name) + " does not exist here: " + instead +
                                 "; nothing was changed");
}

}  // namespace lockstep
