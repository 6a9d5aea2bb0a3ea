// Snapshots that decode and yet break a rule: they are refused when they are read, for the node
// would catch itself wrong later.
#include <gtest/gtest.h>

#include "commands/control_machine.h"
#include "commands/lock_table.h"
#include "commands/replica.h"

namespace lockstep {
namespace {

constexpr NodeId kOrigin{1};

// A replica's snapshot with one session, which needs no more what is below 5 and [from, to).
Bytes WithAnswered(uint64_t from, uint64_t to) {
  Bytes saved;
  Writer out(&saved);
  out.U8(2);  // The format.
  out.Put(Index{9});
  out.U64(0);
  out.Varint(1);
  out.Put(kOrigin);
  SessionName{DiskId{7}, 1, 1}.Encode(&out);
  out.Varint(3);
  out.Varint(5);
  IntervalSet answered;
  answered.AddRun(from, to);
  answered.Encode(&out);
  out.Varint(0);
  LockTable().Save(&out);
  return saved;
}

Bytes ErrorOf(BytesView snapshot) {
  Replica replica(std::make_unique<LockTable>());
  const Result<void> loaded = replica.Load(snapshot);
  replica.CheckInvariants();
  return loaded.ok() ? "" : loaded.error().message;
}

TEST(DamagedSnapshotTest, WhatASessionNeedsNoMoreIsToldOnce) {
  EXPECT_EQ(ErrorOf(WithAnswered(6, 9)), "");
  for (const uint64_t from : {0U, 4U, 5U}) {
    EXPECT_NE(ErrorOf(WithAnswered(from, 9)).find("told twice"), Bytes::npos) << from;
  }
}

TEST(DamagedSnapshotTest, AnotherFormatIsNamedAsSuch) {
  Bytes saved = WithAnswered(6, 9);
  saved[0] = 1;
  EXPECT_NE(ErrorOf(saved).find("format is not known"), Bytes::npos);
}

TEST(DamagedSnapshotTest, ASessionStandsOnce) {
  Bytes saved;
  Writer out(&saved);
  out.U8(2);
  out.Put(Index{9});
  out.U64(0);
  out.Varint(2);
  for (int i = 0; i < 2; ++i) {
    out.Put(kOrigin);
    SessionName{DiskId{7}, 1, 1}.Encode(&out);
    for (int zero = 0; zero < 4; ++zero) out.Varint(0);
  }
  LockTable().Save(&out);
  EXPECT_NE(ErrorOf(saved).find("a session twice"), Bytes::npos);
}

TEST(DamagedSnapshotTest, AClusterHasMembersAndEachItsOwnAddressAndAPlaceForEachShard) {
  using Keepers = std::vector<uint64_t>;
  const auto loads = [](const std::vector<NodeRecord>& nodes,
                        const std::vector<Keepers>& placement = {}) {
    Bytes saved;
    Writer out(&saved);
    out.Varint(1);  // The epoch.
    out.Varint(nodes.size());
    for (const NodeRecord& node : nodes) {
      out.Put(node.id);
      out.String(node.host);
      out.Varint(node.bus_port);
      out.U64(node.disk.value);
      out.String(node.zone);
    }
    out.Varint(0);  // Nobody was removed, nobody departed.
    out.Varint(0);
    out.Varint(placement.size());
    for (const Keepers& keepers : placement) {
      out.Varint(keepers.size());
      for (const uint64_t id : keepers) out.Varint(id);
    }
    out.Varint(0);  // No prefix has ever had options,
    out.Varint(0);  // nor has one now.
    ControlMachine machine({});
    Reader in(saved);
    const bool ok = machine.Load(&in).ok();
    machine.CheckInvariants();
    return ok;
  };
  const NodeRecord one{NodeId{1}, "a", 7, {}};
  const NodeRecord two{NodeId{2}, "a", 8, {}};
  EXPECT_TRUE(loads({one, two}));
  EXPECT_TRUE(loads({one, two}, {{1, 2}, {2, 1}}));
  for (const Keepers& not_all : {Keepers{}, Keepers{1}, Keepers{1, 1}, Keepers{1, 3}}) {
    EXPECT_FALSE(loads({one, two}, {{1, 2}, not_all}));
  }
  EXPECT_FALSE(loads({one, {NodeId{2}, "a", 7, {}}}));
  EXPECT_FALSE(loads({one, {NodeId{1}, "b", 7, {}}}));
  EXPECT_FALSE(loads({}));
}

}  // namespace
}  // namespace lockstep
