// What a log entry and a snapshot mean, held to the version of the bus protocol (trap 55): replicas
// of two builds that apply an entry differently would grant different things. Such builds must not
// talk with each other, so a test that fails here asks for a new version in cluster/bus/hello.h.
#include <gtest/gtest.h>

#include "cluster/bus/hello.h"
#include "commands/control_machine.h"
#include "commands/lock_table.h"
#include "commands/queue_store.h"
#include "commands/replica.h"
#include "src/base/hash.h"
#include "src/base/rng.h"
#include "tests/any_queue_op.h"

namespace lockstep {
namespace {

constexpr uint16_t kVersion = 11;
constexpr uint64_t kLocksHash = 12337955813960506171U;  // Of the state and all answers,
constexpr uint64_t kLocksSaved = 11092850650970130358U;  // and of the snapshot's bytes.
constexpr uint64_t kQueuesHash = 2094347970701253769U;
constexpr uint64_t kQueuesSaved = 6995250181209960774U;
constexpr uint64_t kControlHash = 1059717260059715999U;
constexpr uint64_t kControlSaved = 11283090518374645012U;

constexpr char kAdvice[] =
    "entries or snapshots mean something else than in the last build of this version: raise "
    "kProtocolMin and kProtocolMax in cluster/bus/hello.h, so that the two do not talk with each "
    "other, and kFormatVersion in src/io/data_folder.cc, so that neither reads the other's log; "
    "write the new version and figures here";

Bytes AnyLockOp(Rng* rng) {
  const Bytes name = "lock" + std::to_string(rng->Below(6));
  const Bytes owner = "owner" + std::to_string(rng->Below(8));
  switch (rng->Below(8)) {
    case 0:
      return ReleaseOp{name, owner, std::nullopt, rng->Below(4) == 0}.Encode();
    case 1:
      return RenewOp{name, owner, rng->Between(1, 3'000), rng->Below(3) == 0}.Encode();
    case 2:
      return rng->Below(4) > 0 ? ReleaseOp{name, owner, std::nullopt, false}.Encode()
                               : RevokeOp{name, std::nullopt}.Encode();
    case 3: {
      const Bytes release = ReleaseOp{name, owner, std::nullopt, false}.Encode();
      return BatchOp{{{false, release}, {true, InfoQuery{name}.Encode()}}}.Encode();
    }
    default:
      break;
  }
  AcquireOp op;
  op.names = {name};
  if (rng->Below(5) == 0) op.names.push_back(name + "+");
  op.owner = owner;
  op.mode = rng->Below(2) == 0 ? LockMode::kShared : LockMode::kExclusive;
  op.ttl_ms = rng->Between(1, 5'000);
  if (rng->Below(3) > 0) op.wait_ms = rng->Below(2) == 0 ? 0 : rng->Between(1, 3'000);
  if (rng->Below(6) == 0) op.bind = ClientId{rng->Below(3) + 1};
  if (rng->Below(9) == 0) op.meta = "meta of " + owner;
  return op.Encode();
}

Bytes AnyControlOp(Rng* rng) {
  const NodeId id{rng->Below(9) + 1};
  const Bytes prefix(rng->Below(4), 'p');
  switch (rng->Below(5)) {
    case 3:
      return EncodeDropSpace(prefix);
    case 4: {
      const auto option = static_cast<SpaceChange::Option>(rng->Between(1, 6));
      return EncodeSetSpace({prefix, {{option, rng->Between(0, 1)}}});
    }
    case 0:
      return EncodeAddNode(
          {id, "10.0.0." + std::to_string(id.value), 17379, DiskId{rng->Below(3)}});
    case 1:
      return EncodeRemoveNode(id);
    default:
      return EncodeNodeDisk(id, DiskId{rng->Below(100) + 1},
                            Bytes(1, static_cast<char>('a' + rng->Below(3))));
  }
}

// A life of two gateways: sessions that begin and end, requests that come twice, pulses.
class Life {
 public:
  Life(std::unique_ptr<StateMachine> machine, Bytes (*any_op)(Rng*))
      : replica_(std::move(machine)), any_op_(any_op) {}

  const Replica& Live() {
    for (uint64_t i = 1; i <= 4'000; ++i) {
      index_.value = i;
      time_ = time_ + rng_.Between(0, 200);
      Effects effects;
      const NodeId origin{rng_.Below(2) + 1};
      const uint64_t open = replica_.SessionOf(origin).incarnation;
      if (rng_.Below(20) == 0) {
        replica_.Pulse(index_, time_, &effects);
      } else {
        replica_.Apply(index_, time_, open == 0 ? Opening(origin) : Entry(origin, open), &effects);
      }
    }
    replica_.CheckInvariants();
    return replica_;
  }

 private:
  Bytes Opening(NodeId origin) {
    Bytes data;
    Writer writer(&data);
    EncodeOpenSession(origin, {DiskId{origin.value}, ++boots_, 1}, &writer);
    return data;
  }
  Bytes Entry(NodeId origin, uint64_t open) {
    if (rng_.Below(300) == 0) {
      Bytes data;
      Writer writer(&data);
      EncodeSessionOver(origin, open, &writer);
      return data;
    }
    RequestsEntry entry(origin, open);
    for (uint64_t n = rng_.Below(4) + 1; n > 0; --n) {
      const bool again = rng_.Below(10) == 0 && seq_ > 0;
      entry.Add(again ? seq_ : ++seq_, any_op_(&rng_));
    }
    entry.Tell({seq_ > 40 ? seq_ - 40 : 0, {}});
    return entry.Finish();
  }

  Rng rng_{55};
  Replica replica_;
  Bytes (*any_op_)(Rng*);
  Index index_;
  ClusterTime time_{1'000'000};
  uint64_t seq_ = 0;
  uint64_t boots_ = 0;
};

TEST(ApplyLevel, LocksMeanWhatTheyMeantToTheLastBuildOfThisVersion) {
  Life life(std::make_unique<LockTable>(), AnyLockOp);
  const Replica& replica = life.Live();
  EXPECT_GT(replica.remembered(), 0U);
  EXPECT_EQ(replica.Hash(), kLocksHash) << kAdvice;
  EXPECT_EQ(Hash64(replica.Save()), kLocksSaved) << kAdvice;
}

TEST(ApplyLevel, QueuesMeanWhatTheyMeantToTheLastBuildOfThisVersion) {
  Life life(std::make_unique<QueueStore>(3),
            [](Rng* rng) { return AnyQueueOp(rng, 1 + rng->Below(2'000)); });
  const Replica& replica = life.Live();
  EXPECT_GT(replica.remembered(), 0U);
  EXPECT_EQ(replica.Hash(), kQueuesHash) << kAdvice;
  EXPECT_EQ(Hash64(replica.Save()), kQueuesSaved) << kAdvice;
}

TEST(ApplyLevel, MembershipMeansWhatItMeantToTheLastBuildOfThisVersion) {
  std::vector<NodeRecord> genesis = {{NodeId{1}, "10.0.0.1", 17379, DiskId{7}}};
  Life life(std::make_unique<ControlMachine>(std::move(genesis), 64), AnyControlOp);
  const Replica& replica = life.Live();
  EXPECT_EQ(replica.Hash(), kControlHash) << kAdvice;
  EXPECT_EQ(Hash64(replica.Save()), kControlSaved) << kAdvice;
}

// Two builds talk if the ranges overlap: for one meaning there is one version.
TEST(ApplyLevel, BuildsOfAnotherMeaningDoNotTalkWithThisOne) {
  EXPECT_EQ(bus::kProtocolMin, kVersion);
  EXPECT_EQ(bus::kProtocolMax, kVersion);
}

}  // namespace
}  // namespace lockstep
