// What lies in the log and in snapshots of the two replicated machines and of their memory of
// answered requests.
//
// Entries: whatever the bytes, two replicas that apply the same entries stay the same, though one
// of them is saved and loaded on the way; a request that waits is answered once; the invariants
// hold after each entry. Snapshots: arbitrary bytes load or are refused with a reason, never more
// than the input could fill is allocated, what loads keeps the invariants and saves to a snapshot
// of the same hash, and what is refused leaves an empty machine.
#include <memory>
#include <set>

#include "commands/control_machine.h"
#include "commands/lock_table.h"
#include "commands/replica.h"
#include "tests/fuzz/fuzz.h"

namespace lockstep::fuzz {
namespace {

constexpr int kStepsMax = 200;

enum class Kind : uint8_t { kLocks, kControl };

std::unique_ptr<Replica> MakeReplica(Kind kind) {
  if (kind == Kind::kLocks) return std::make_unique<Replica>(std::make_unique<LockTable>());
  const std::vector<NodeRecord> genesis{{NodeId{1}, "a", 1, DiskId{11}},
                                        {NodeId{2}, "b", 2, DiskId{12}}};
  return std::make_unique<Replica>(std::make_unique<ControlMachine>(genesis));
}

// Each part of a request from the input, or the whole entry.
Bytes AnyEntry(Choices* choices) {
  Bytes data;
  Writer out(&data);
  const NodeId origin{choices->Below(3)};
  switch (choices->Below(8)) {
    case 0:
      EncodeOpenSession(origin, {DiskId{choices->Below(3)}, choices->Below(3), choices->Below(3)},
                        &out);
      break;
    case 1:
      EncodeSessionOver(origin, choices->Number(), &out);
      break;
    case 2:
      out.Raw(choices->Some());
      break;
    default: {
      RequestsEntry entry(origin, choices->Number());
      do {
        const uint64_t seq = choices->Number();
        const BytesView op = choices->Some();
        if (!op.empty()) entry.Add(seq, op);
      } while (choices->Below(4) == 3);
      Answered answered;
      answered.below = choices->Below(4) == 3 ? choices->Number() : 0;
      if (choices->Below(4) == 3) {
        const uint64_t from = choices->Below(256);
        answered.others.AddRun(from, from + choices->Below(8));
      }
      entry.Tell(answered);
      return entry.Finish();
    }
  }
  return data;
}

bool Equal(const Effects& one, const Effects& other) {
  const auto answers = [](const Effects& effects) {
    Bytes bytes;
    Writer out(&bytes);
    for (const Effects::Answer& answer : effects.answers) {
      out.Put(answer.request);
      EncodeReply(answer.reply, &out);
    }
    for (const Effects::Event& event : effects.events) {
      out.String(event.channel);
      out.String(event.payload);
    }
    return bytes;
  };
  return answers(one) == answers(other);
}

void FuzzEntries(BytesView in, Kind kind) {
  Choices choices(in);
  auto one = MakeReplica(kind);
  auto other = MakeReplica(kind);
  Position at{Index{1}, ClusterTime{0}};
  for (int step = 0; step < kStepsMax && choices.more(); ++step) {
    ++at.index.value;
    at.time = at.time + static_cast<int64_t>(choices.Number() >> 16);
    const Bytes data = AnyEntry(&choices);
    Effects effects, same;
    const bool read = one->Apply(at.index, at.time, data, &effects);
    CHECK(other->Apply(at.index, at.time, data, &same) == read);
    CHECK(Equal(effects, same));
    CHECK(one->Hash() == other->Hash() && one->NextDeadline() == other->NextDeadline());
    one->CheckInvariants();
    if (choices.Below(8) == 7) {
      const Bytes saved = other->Save();
      other = MakeReplica(kind);
      CHECK(other->Load(saved).ok());
      CHECK(other->Save() == saved);
    }
  }
  CHECK(one->Save() == other->Save());
}

void FuzzSnapshot(BytesView in, Kind kind) {
  auto replica = MakeReplica(kind);
  const Result<void> loaded = replica->Load(in);
  if (!loaded) {
    CHECK(!loaded.error().message.empty());
    CHECK(replica->remembered() == 0);
    return;
  }
  replica->CheckInvariants();
  const Bytes saved = replica->Save();
  auto again = MakeReplica(kind);
  CHECK(again->Load(saved).ok());
  CHECK(again->Hash() == replica->Hash());
  CHECK(again->Save() == saved);
}

}  // namespace

std::vector<Bytes> Seeds() {
  using namespace std::string_literals;
  auto locks = MakeReplica(Kind::kLocks);
  auto control = MakeReplica(Kind::kControl);
  Effects effects;
  Position at{Index{1}, ClusterTime{5}};
  Bytes entries_of_locks = "\0"s, entries_of_control = "\1"s;
  const auto open = [&](Replica* replica) {
    Bytes data;
    Writer out(&data);
    EncodeOpenSession(NodeId{1}, {DiskId{1}, 1, 1}, &out);
    replica->Apply(at.index, at.time, data, &effects);
  };
  const auto ask = [&](Replica* replica, const Bytes& op, Bytes* entries) {
    static uint64_t seq = 0;
    ++at.index.value;
    RequestsEntry entry(NodeId{1}, 1);
    entry.Add(++seq, op);
    replica->Apply(at.index, at.time, entry.Finish(), &effects);
    // Time, origin, kind, incarnation (the opening's index), seq, the operation, no other, nothing
    // answered.
    *entries += Bytes{'\0', '\1', '\3', '\2', static_cast<char>(seq)};
    *entries += static_cast<char>(op.size()) + op + Bytes{'\0', '\0', '\0', '\7'};
  };
  const Bytes opening{'\0', '\1', '\0', '\1', '\1', '\1', '\0'};
  entries_of_locks += opening;
  entries_of_control += opening;
  open(locks.get());
  open(control.get());
  AcquireOp op{{"a"}, "x", LockMode::kExclusive, 1000, 0, 0, "m", ClientId{1}};
  ask(locks.get(), op.Encode(), &entries_of_locks);
  op.owner = "y";
  ask(locks.get(), op.Encode(), &entries_of_locks);
  op.names = {"b", "c"};
  ask(locks.get(), op.Encode(), &entries_of_locks);
  ask(locks.get(), ReleaseOp{"a", "x", {}, false}.Encode(), &entries_of_locks);
  ask(control.get(), EncodeAddNode({NodeId{3}, "c", 3, DiskId{13}}), &entries_of_control);
  ask(control.get(), EncodeNodeDisk(NodeId{1}, DiskId{14}), &entries_of_control);
  ask(control.get(), EncodeRemoveNode(NodeId{2}), &entries_of_control);
  return {entries_of_locks, entries_of_control, "\2" + locks->Save(), "\3" + control->Save()};
}

std::vector<Property> Properties() {
  return {[](BytesView in) { FuzzEntries(in, Kind::kLocks); },
          [](BytesView in) { FuzzEntries(in, Kind::kControl); },
          [](BytesView in) { FuzzSnapshot(in, Kind::kLocks); },
          [](BytesView in) { FuzzSnapshot(in, Kind::kControl); }};
}

}  // namespace lockstep::fuzz
