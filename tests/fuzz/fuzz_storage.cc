// What a node finds on its disk.
//
// Damaged: whatever keys and values are there, a group's records load or are refused with a reason,
// never more is allocated than the input could fill, what loads keeps the rules that the engine
// builds on and is the same after it was written anew; and a node opens on them, and runs, or is
// refused with a reason. Honest: after any sequence of appends, truncations, snapshots and starts,
// what loads is what was written.
#include "cluster/raft/raft.h"
#include "src/log_store.h"
#include "src/node.h"
#include "src/self.h"
#include "tests/fuzz/fuzz.h"
#include "tests/memory_disk.h"

namespace lockstep::fuzz {
namespace {

constexpr int kStepsMax = 200;
constexpr NodeId kMe{1};
constexpr DiskId kMyDisk{11};

raft::Config AnyConfig(Choices* choices) {
  raft::Config config;
  const uint8_t who = choices->Byte();
  for (uint64_t node = 1; node <= 4; ++node) {
    if ((who >> (node - 1) & 1) != 0) config.voters.push_back({NodeId{node}, DiskId{10 + node}});
    if ((who >> (node + 3) & 1) != 0) config.outgoing.push_back({NodeId{node}, DiskId{10 + node}});
  }
  return config;
}

raft::Entry AnyEntry(Choices* choices, raft::LogId id, ClusterTime time) {
  raft::Entry entry{id, time, raft::EntryKind::kOp, {}};
  switch (choices->Below(8)) {
    case 0: entry.kind = raft::EntryKind::kNoop; break;
    case 1: entry.kind = raft::EntryKind::kPulse; break;
    case 2: {
      const raft::Config config = AnyConfig(choices);
      if (!config.Valid() || config.voters.empty()) break;
      entry.kind = raft::EntryKind::kConfig;
      entry.data = raft::EncodeConfig(config);
      break;
    }
    default: entry.data = Bytes(choices->Some());
  }
  return entry;
}

bool Same(const raft::Recovered& one, const raft::Recovered& other) {
  return one.hard == other.hard && one.snapshot == other.snapshot && one.entries == other.entries;
}

raft::Recovered Loaded(GroupId group, MemoryDisk* disk) {
  LogStore store(group);
  auto loaded = store.Load(*disk);
  CHECK_SAYS(loaded.ok(), "%s", loaded.error().message.c_str());
  return std::move(loaded->recovered);
}

// Damaged ----------------------------------------------------------------------------------------

Bytes GroupKey(uint64_t group, char what) {
  return Bytes{'g', 0, 0, 0, static_cast<char>(group), what};
}

Bytes Numbered(Bytes key, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(number >> shift));
  return key;
}

constexpr auto kNeedsNothing = [](Index) { return false; };

Bytes AnyEntryRecord(Choices* choices, uint64_t index) {
  Bytes value;
  Writer out(&value);
  const raft::LogId id{Term{choices->Below(6)}, Index{index}};
  const ClusterTime time{static_cast<int64_t>(choices->Number())};
  raft::EncodeEntry(AnyEntry(choices, id, time), &out);
  return value;
}

void PutAnySnapshot(Choices* choices, GroupId group, WriteBatch* batch) {
  raft::Snapshot snapshot;
  snapshot.last = {Term{choices->Below(6)}, Index{choices->Below(16)}};
  snapshot.time = {static_cast<int64_t>(choices->Number())};
  snapshot.config = AnyConfig(choices);
  snapshot.data = Bytes(choices->Some());
  LogStore(group).PutSnapshot(snapshot, kNeedsNothing, batch);
}

void PutAnyRecord(Choices* choices, GroupId group, WriteBatch* batch) {
  switch (choices->Below(8)) {
    case 0: batch->Put(GroupKey(group.value, 'h'), Bytes(choices->Some())); break;
    case 1: batch->Put(GroupKey(group.value, 's'), Bytes(choices->Some())); break;
    case 2: {
      const Bytes key = Numbered(GroupKey(group.value, 't'), choices->Below(4));
      batch->Put(key, Bytes(choices->Some()));
      break;
    }
    case 3: {
      const Bytes key = Numbered(GroupKey(group.value, 'l'), choices->Number());
      batch->Put(key, Bytes(choices->Some()));
      break;
    }
    case 4: batch->Put("g" + Bytes(choices->Take(7)), Bytes(choices->Some())); break;
    case 5: PutAnySnapshot(choices, group, batch); break;
    case 6: {
      const raft::HardState hard{Term{choices->Below(8)}, NodeId{choices->Below(4)}};
      LogStore(group).PutHardState(hard, batch);
      break;
    }
    default: {
      const uint64_t index = choices->Below(16);
      batch->Put(Numbered(GroupKey(group.value, 'l'), index), AnyEntryRecord(choices, index));
    }
  }
}

// The engine takes what was loaded, and another disk gives it back.
void CheckLoaded(GroupId group, const raft::Recovered& recovered) {
  MemoryDisk disk;
  LogStore store(group);
  WriteBatch batch;
  store.PutHardState(recovered.hard, &batch);
  store.PutForeignSnapshot(recovered.snapshot, Index{0}, kNeedsNothing, &batch);
  store.Append(recovered.entries, &batch);
  disk.Write(batch);
  CHECK(Same(Loaded(group, &disk), recovered));

  raft::Options options;
  options.self = {kMe, kMyDisk};
  const raft::Raft engine(options, recovered, MonoTime{0}, nullptr);
  engine.CheckInvariants();
}

// A node of a cluster of one or two, whose groups have these records.
void OpenAndRun(MemoryDisk* disk, bool alone) {
  Self self;
  self.node = kMe;
  self.disk = kMyDisk;
  self.boot = 1;
  self.cluster = ClusterId{7};
  self.genesis = {{kMe, "a", 1, kMyDisk}};
  if (!alone) self.genesis.push_back({NodeId{2}, "b", 2, DiskId{12}});
  WriteBatch batch;
  PutSelf(self, &batch);
  disk->Write(batch);

  MonoTime now{1'000'000};
  NodeOptions options;
  options.read_value = [disk](BytesView key) { return disk->Get(key); };
  auto opened = Node::Open(std::move(options), *disk, now);
  if (!opened) {
    CHECK(!opened.error().message.empty());
    return;
  }
  Node& node = **opened;
  for (int turn = 0; turn < 8; ++turn) {
    now = now + 100 * kUsPerMs;
    node.Step(now, Tick{});
    const Output out = node.Drain(now);
    if (out.write_number != 0) node.Step(now, Persisted{out.write_number});
    node.CheckInvariants();
  }
}

void FuzzDamaged(BytesView in) {
  Choices choices(in);
  MemoryDisk disk;
  const bool alone = choices.Flag();
  for (int step = 0; step < kStepsMax && choices.more(); ++step) {
    WriteBatch batch;
    PutAnyRecord(&choices, choices.Flag() ? kControlGroup : kLocksGroup, &batch);
    disk.Write(batch);
  }
  for (const GroupId group : {kControlGroup, kLocksGroup}) {
    LogStore store(group);
    const auto loaded = store.Load(disk);
    if (loaded.ok()) CheckLoaded(group, loaded->recovered);
    CHECK(loaded.ok() || !loaded.error().message.empty());
  }
  OpenAndRun(&disk, alone);
}

void FuzzSelf(BytesView in) {
  MemoryDisk disk;
  WriteBatch batch;
  batch.Put("mself", Bytes(in));
  disk.Write(batch);
  const auto self = LoadSelf(disk);
  if (self.ok()) {
    WriteBatch again;
    PutSelf(*self, &again);
    CHECK(again.ops()[0].value == in);
  }
  const auto opened = Node::Open({}, disk, MonoTime{0});
  CHECK(opened.ok() || !opened.error().message.empty());
}

// Honest -----------------------------------------------------------------------------------------

// One group's disk, and beside it what was written, as plain values.
class Honest {
 public:
  explicit Honest(BytesView in) : choices_(in) {}

  void Run() {
    for (int step = 0; step < kStepsMax && choices_.more(); ++step) {
      WriteBatch batch;
      switch (choices_.Below(5)) {
        case 0: PutHardState(&batch); break;
        case 1: Snapshot(&batch); break;
        case 2: Start(); break;
        default: Append(&batch);
      }
      disk_.Write(batch);
    }
    Start();
  }

 private:
  raft::LogId Last() const {
    return written_.entries.empty() ? written_.snapshot.last : written_.entries.back().id;
  }

  void Start() {
    store_ = LogStore(kLocksGroup);
    const auto loaded = store_.Load(disk_);
    CHECK_SAYS(loaded.ok(), "%s", loaded.error().message.c_str());
    CHECK(Same(loaded->recovered, written_));
  }

  void PutHardState(WriteBatch* batch) {
    written_.hard.term.value += 1 + choices_.Below(3);
    written_.hard.vote = NodeId{choices_.Below(4)};
    store_.PutHardState(written_.hard, batch);
  }

  // At the log's end, or in place of some of it, as a new leader has it.
  void Append(WriteBatch* batch) {
    if (written_.hard.term.value == 0) return;
    std::vector<raft::Entry>& log = written_.entries;
    const size_t kept = log.size() - std::min<size_t>(log.size(), choices_.Below(4));
    if (kept < log.size()) log.erase(log.begin() + static_cast<std::ptrdiff_t>(kept), log.end());
    ClusterTime time = log.empty() ? written_.snapshot.time : log.back().time;
    std::vector<raft::Entry> run;
    for (uint64_t n = 1 + choices_.Below(4); n > 0; --n) {
      const Index index = Next(Last().index);
      time = time + static_cast<int64_t>(choices_.Below(3));
      run.push_back(AnyEntry(&choices_, {written_.hard.term, index}, time));
      MakeHonest(&run.back());
      log.push_back(run.back());
    }
    store_.Append(run, batch);
  }

  // No leader proposes a configuration that may not follow those before it.
  void MakeHonest(raft::Entry* entry) {
    if (entry->kind != raft::EntryKind::kConfig) return;
    raft::Config config;
    CHECK(raft::DecodeConfig(entry->data, &config));
    const bool may_be = config.MayFollow(ConfigAfter(written_.entries.size()));
    if (!may_be) entry->kind = raft::EntryKind::kOp;
  }
  // What is in force behind so many of the entries.
  raft::Config ConfigAfter(size_t entries) const {
    raft::Config config = written_.snapshot.config;
    for (size_t i = 0; i < entries; ++i) {
      if (written_.entries[i].kind != raft::EntryKind::kConfig) continue;
      CHECK(raft::DecodeConfig(written_.entries[i].data, &config));
    }
    return config;
  }

  // Our own, of some of what is in the log; or a leader's, which may be ahead of it.
  void Snapshot(WriteBatch* batch) {
    if (written_.hard.term.value == 0) return;
    std::vector<raft::Entry>& log = written_.entries;
    const bool own = choices_.Flag() && !log.empty();
    raft::Snapshot snapshot;
    snapshot.data = Bytes(choices_.Some());
    if (own) {
      const size_t covered = 1 + choices_.Below(std::min<size_t>(log.size(), 256));
      snapshot.config = ConfigAfter(covered);
      snapshot.last = log[covered - 1].id;
      snapshot.time = log[covered - 1].time;
      log.erase(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(covered));
    } else {
      const ClusterTime time = log.empty() ? written_.snapshot.time : log.back().time;
      snapshot.config = AnyConfig(&choices_);
      if (!snapshot.config.Valid()) snapshot.config = {};
      snapshot.last = {written_.hard.term, {Last().index.value + 1 + choices_.Below(5)}};
      snapshot.time = time + 1;
      log.clear();
    }
    if (own) {
      store_.PutSnapshot(snapshot, kNeedsNothing, batch);
    } else {
      store_.PutForeignSnapshot(snapshot, written_.snapshot.last.index, kNeedsNothing, batch);
    }
    written_.snapshot = std::move(snapshot);
  }

  Choices choices_;
  MemoryDisk disk_;
  LogStore store_{kLocksGroup};
  raft::Recovered written_;
};

}  // namespace

// Records as FuzzDamaged reads them, from a node that has lived.
std::vector<Bytes> Seeds() {
  using namespace std::string_literals;
  Self self;
  self.node = kMe;
  self.disk = kMyDisk;
  self.cluster = ClusterId{7};
  self.genesis = {{kMe, "a", 1, kMyDisk}};
  WriteBatch batch;
  PutSelf(self, &batch);
  return {"\1" + batch.ops()[0].value,
          // Alone; for group locks: term 5, three entries.
          "\0\1\0\6\5\1\0\7\1\1\1\1\0\7\2\1\2\1\0\7\3\1\3\7\1abc"s,
          // A snapshot at 2/3 and an entry behind it.
          "\0\0\0\6\5\1\0\5\2\3\7\1\0\0\7\4\2\11\0"s,
          "\2\0\1\1\3\2\5\3a\1\6\3b\1\1\2\4\1\3\3abc\2\3\2\2"s};
}

std::vector<Property> Properties() {
  return {FuzzDamaged, FuzzSelf, [](BytesView in) { Honest(in).Run(); }};
}

}  // namespace lockstep::fuzz
