// The state of the model that mesi_search.h searches: one line, up to three caches that ask for it,
// the home of it and the home before, and what is under way between them. Fixed in size; packed to
// a few bytes for the set of all that were seen.
//
// What makes it finite: Normalize. Two states that differ only in what nobody can tell are one:
// how large generations are (only their order and equality count), which of the old values a copy
// is of (only that it is not the latest), fields that mean nothing in a line's state, and which
// cache is which (Rename).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cluster/mesi/agent_table.h"
#include "cluster/mesi/directory.h"
#include "src/base/check.h"

namespace lockstep::mesi {

constexpr size_t kCachesMax = 3;

// Of a value. Later ones are above; {} is any that is not the latest.
struct Version {
  uint8_t epoch = 0, gen = 0, seq = 0;
  auto operator<=>(const Version&) const = default;
};

enum class Says : uint8_t {
  kGetS,
  kGetX,
  kGetXHave,
  kInvAck,
  kRecallAck,
  kRecallAckKeeps,
  kWbEvict,
  kWbDemote,
  kDataS,
  kDataX,
  kUpgradeOk,
  kInv,
  kRecallS,
  kRecallX,
  kWbAck,
  kWbAckKeeps,
};
inline const char* NameOf(Says says) {
  static constexpr const char* kNames[] = {
      "GetS",      "GetX",       "GetX(have)", "InvAck",      "RecallAck", "RecallAck(keeps)",
      "WB(evict)", "WB(demote)", "Data.S",     "Data.X",      "UpgradeOK", "Inv",
      "Recall.S",  "Recall.X",   "WbAck",      "WbAck(keeps)"};
  return kNames[static_cast<size_t>(says)];
}

struct Message {
  Says says = Says::kGetS;
  uint8_t gen = 0;
  bool has_value = false;
  Version version = {};
};

template <class T, size_t kMax>
struct Fifo {
  std::array<T, kMax> items;
  uint8_t size = 0;

  bool empty() const { return size == 0; }
  T* begin() { return items.data(); }
  T* end() { return items.data() + size; }
  const T* begin() const { return items.data(); }
  const T* end() const { return items.data() + size; }
  void Push(const T& item) {
    CHECK(size < kMax);
    items[size++] = item;
  }
  T Take(size_t at = 0) {
    const T item = items[at];
    std::copy(begin() + at + 1, end(), begin() + at);
    --size;
    return item;
  }
};
using Channel = Fifo<Message, 6>;

struct CacheSide {
  bool live = false;  // Its session is, and so is its lease.
  uint8_t epoch = 1;  // Of the home that its session is with; of the last one, if it is over.
  Copy state = Copy::kI;
  uint8_t gen = 0;
  Version version;
  bool dirty = false;  // kMI, kMS: from kM.
  bool load = false;   // Clients wait to read,
  uint8_t stores = 0;  // ... and each of so many to write.
};

enum class Phase : uint8_t {
  kOver,        // Dead, or its answer was given, or its leader lease has ended.
  kRecovering,  // Asks what there is.
  kServing,
  kCutOff,  // Serves until its leader lease ends.
};

struct HomeSide {
  Phase phase = Phase::kOver;
  uint8_t epoch = 0;
  DirLine line;
  uint64_t next_gen = 0;
  Version version;  // Of its value.
  Fifo<Request, 6> waiting;
  uint8_t open = 0;              // Sessions, by cache.
  bool granted_to_read = false;  // For one mutant.
  std::array<Channel, kCachesMax> up, down;

  bool serves() const { return phase == Phase::kServing || phase == Phase::kCutOff; }
};

// What a new home was told, in the order of arrival.
struct Report {
  enum class Kind : uint8_t { kOwner, kLeaving, kHomeHad, kOwnerKnown, kReads };
  Kind kind = Kind::kOwner;
  uint8_t who = 0;
  uint8_t gen = 0;
  bool sure = false;  // Of an owner, whose lease outlasts the home before.
  Version version = {};
};

constexpr uint8_t kOld = 0, kNew = 1;
constexpr uint8_t kOldHomeBit = 1 << 3;

struct State {
  std::array<CacheSide, kCachesMax> caches;
  std::array<HomeSide, 2> homes;  // The one before, and the one of the latest epoch.
  Version latest;                 // Written or forgotten: what a reader may see. No one's memory.
  uint8_t awaited = 0;            // By a recovering home: caches, and the home before.
  uint8_t outlast = 0;            // The leases of these outlast the home before.
  bool former_spoke = false;      // The home before has answered.
  Fifo<Report, 2 * kCachesMax + 2> reports;
  bool has_relic = false;  // For one mutant: what a home that was cut off still has.
  Version relic;
  // What may still happen.
  uint8_t stores = 0, losses = 0, moves = 0, crashes = 0, cuts = 0;
  const char* broken = nullptr;  // The invariant that the last step broke.
};

// The directory's fields that mean something in its state (directory.h).
inline bool HasOwner(Dir state) {
  return state == Dir::kX || state == Dir::kBRS || state == Dir::kBRX;
}
inline bool HasSharers(Dir state) {
  return state == Dir::kSh || state == Dir::kBInv;
}

// To forget is always allowed, but not when the home before, or an owner that is sure, has said
// enough.
inline bool MustAdopt(const State& s) {
  std::optional<Report> known;
  for (const Report& report : s.reports) {
    if (report.kind == Report::Kind::kHomeHad) return true;
    const bool has = report.kind == Report::Kind::kOwner || report.kind == Report::Kind::kReads;
    if (has && report.sure && !s.former_spoke) return true;
    if (report.kind == Report::Kind::kOwnerKnown) known = report;
  }
  return known && std::any_of(s.reports.begin(), s.reports.end(), [&](const Report& report) {
           const bool of_owner = report.kind < Report::Kind::kHomeHad;
           return of_owner && report.who == known->who && report.gen == known->gen;
         });
}

// Every generation and version in a state, for Normalize: `gen(epoch, &g)`, `version(&v)`.
template <class OnGen, class OnVersion>
void ForEachStamp(State* s, const OnGen& gen, const OnVersion& version) {
  for (CacheSide& cache : s->caches) {
    gen(cache.epoch, &cache.gen);
    version(&cache.version);
  }
  for (HomeSide& home : s->homes) {
    version(&home.version);
    for (std::array<Channel, kCachesMax>* channels : {&home.up, &home.down}) {
      for (Channel& channel : *channels) {
        for (Message& message : channel) {
          gen(home.epoch, &message.gen);
          version(&message.version);
        }
      }
    }
  }
  for (Report& report : s->reports) {
    gen(static_cast<uint8_t>(s->homes[kNew].epoch - 1), &report.gen);
    version(&report.version);
  }
  version(&s->relic);
}

inline void DropWhatMeansNothing(State* s) {
  for (CacheSide& cache : s->caches) {
    if (!IsOwned(cache.state)) cache.gen = 0;
  }
  for (HomeSide& home : s->homes) {
    DirLine& line = home.line;
    if (!HasOwner(line.state)) line.owner = 0, line.gen = 0;
    if (!HasSharers(line.state)) line.sharers = 0;
    if (!IsBusy(line.state)) line.request = {};
  }
}

// Generations become 1, 2, .. in their order, epoch by epoch.
inline void RankGenerations(State* s) {
  constexpr size_t kEpochs = 8;
  std::array<uint64_t, kEpochs> present{};
  const auto note = [&](uint8_t epoch, const uint8_t* gen) {
    CHECK(epoch < kEpochs && *gen < 64);
    present[epoch] |= uint64_t{1} << *gen;
  };
  const auto rank = [&](uint8_t epoch, uint64_t gen) {
    const uint64_t below = present[epoch] & ~uint64_t{1} & ((uint64_t{1} << gen) - 1);
    return static_cast<uint8_t>(gen == 0 ? 0 : std::popcount(below) + 1);
  };
  const auto no_version = [](Version*) {};
  ForEachStamp(s, note, no_version);
  note(s->latest.epoch, &s->latest.gen);
  for (const HomeSide& home : s->homes) present[home.epoch] |= uint64_t{1} << home.line.gen;

  const auto become = [&](uint8_t epoch, uint8_t* gen) { *gen = rank(epoch, *gen); };
  const Version latest = s->latest;
  s->latest.gen = rank(latest.epoch, latest.gen);
  s->latest.seq = 1;
  ForEachStamp(s, become,
               [&](Version* version) { *version = *version == latest ? s->latest : Version{}; });
  for (HomeSide& home : s->homes) {
    home.line.gen = rank(home.epoch, home.line.gen);
    home.next_gen = rank(home.epoch, home.next_gen + 1) - uint64_t{1};
  }
}

inline void Normalize(State* s) {
  DropWhatMeansNothing(s);
  RankGenerations(s);
}

// Bits in, bits out, by the same description of a state (PackState).
class BitWriter {
 public:
  template <class T>
  void operator()(T& value, int bits) {
    const auto number = static_cast<uint64_t>(value);
    CHECK(number < (uint64_t{1} << bits));
    held_ |= number << count_;
    count_ += bits;
    while (count_ >= 8) Flush();
  }
  // Until the next call.
  BytesView Finish() {
    while (count_ > 0) Flush();
    count_ = 0;
    return {reinterpret_cast<const char*>(bytes_.data()), size_};
  }

 private:
  void Flush() {
    bytes_[size_++] = static_cast<uint8_t>(held_);
    held_ >>= 8;
    count_ -= 8;
  }
  std::array<uint8_t, 256> bytes_;
  size_t size_ = 0;
  uint64_t held_ = 0;
  int count_ = 0;
};

class BitReader {
 public:
  explicit BitReader(BytesView bytes) : bytes_(bytes) {}
  template <class T>
  void operator()(T& value, int bits) {
    while (count_ < bits) {
      held_ |= static_cast<uint64_t>(static_cast<uint8_t>(bytes_[at_++])) << count_;
      count_ += 8;
    }
    value = static_cast<T>(held_ & ((uint64_t{1} << bits) - 1));
    held_ >>= bits;
    count_ -= bits;
  }

 private:
  BytesView bytes_;
  size_t at_ = 0;
  uint64_t held_ = 0;
  int count_ = 0;
};

// A version is the latest or not.
template <class Bits>
void PackVersion(Bits& bits, const Version& latest, Version& version) {
  bool is_latest = version == latest;
  bits(is_latest, 1);
  version = is_latest ? latest : Version{};
}

template <class Bits>
void PackChannel(Bits& bits, const Version& latest, Channel& channel) {
  bits(channel.size, 3);
  for (Message& message : channel) {
    bits(message.says, 4);
    bits(message.gen, 4);
    bits(message.has_value, 1);
    PackVersion(bits, latest, message.version);
  }
}

template <class Bits>
void PackRequest(Bits& bits, Request& request) {
  bits(request.who, 7);
  bits(request.write, 1);
  bits(request.have, 1);
}

template <class Bits>
void PackCache(Bits& bits, const Version& latest, CacheSide& cache) {
  bits(cache.live, 1);
  bits(cache.epoch, 3);
  bits(cache.state, 4);
  bits(cache.gen, 4);
  bits(cache.dirty, 1);
  bits(cache.load, 1);
  bits(cache.stores, 2);
  PackVersion(bits, latest, cache.version);
}

template <class Bits>
void PackHome(Bits& bits, const Version& latest, size_t caches, HomeSide& home) {
  bits(home.epoch, 3);
  if (home.epoch == 0) return;  // There is none.
  bits(home.phase, 2);
  for (size_t c = 0; c < caches; ++c) PackChannel(bits, latest, home.down[c]);
  if (home.phase == Phase::kOver) return;
  for (size_t c = 0; c < caches; ++c) PackChannel(bits, latest, home.up[c]);
  bits(home.open, 3);
  bits(home.granted_to_read, 1);
  bits(home.next_gen, 4);
  PackVersion(bits, latest, home.version);
  DirLine& line = home.line;
  bits(line.state, 3);
  if (HasSharers(line.state)) bits(line.sharers, 3);
  if (HasOwner(line.state)) bits(line.owner, 2), bits(line.gen, 4);
  if (!IsBusy(line.state)) return;
  PackRequest(bits, line.request);
  bits(home.waiting.size, 3);
  for (Request& request : home.waiting) PackRequest(bits, request);
}

template <class Bits>
void PackState(Bits& bits, size_t caches, State& s) {
  bits(s.latest.epoch, 3);
  bits(s.latest.gen, 4);
  s.latest.seq = 1;
  for (size_t c = 0; c < caches; ++c) PackCache(bits, s.latest, s.caches[c]);
  for (HomeSide& home : s.homes) PackHome(bits, s.latest, caches, home);
  for (uint8_t* budget : {&s.stores, &s.losses, &s.moves, &s.crashes, &s.cuts}) bits(*budget, 2);
  bits(s.has_relic, 1);
  PackVersion(bits, s.latest, s.relic);
  if (s.homes[kNew].phase != Phase::kRecovering) return;
  bits(s.awaited, 4);
  bits(s.outlast, 3);
  bits(s.former_spoke, 1);
  bits(s.reports.size, 4);
  for (Report& report : s.reports) {
    bits(report.kind, 3);
    bits(report.who, 7);
    bits(report.gen, 4);
    bits(report.sure, 1);
    PackVersion(bits, s.latest, report.version);
  }
}

// Everything about one cache, so that caches in one order of this are in one order of a state.
inline void PackAllOfCache(BitWriter& bits, const State& state, size_t c) {
  State& s = const_cast<State&>(state);  // A writer changes nothing.
  const auto flag = [&](bool yes) { bits(yes, 1); };
  const auto me = static_cast<uint8_t>(c);
  PackCache(bits, s.latest, s.caches[c]);
  for (HomeSide& home : s.homes) {
    PackChannel(bits, s.latest, home.down[c]);
    PackChannel(bits, s.latest, home.up[c]);
    flag((home.open & BitOf(me)) != 0);
    flag((home.line.sharers & BitOf(me)) != 0);
    flag(HasOwner(home.line.state) && home.line.owner == me);
    flag(IsBusy(home.line.state) && home.line.request.who == me);
    for (const Request& request : home.waiting) flag(request.who == me);
  }
  flag((s.awaited & BitOf(me)) != 0);
  flag((s.outlast & BitOf(me)) != 0);
  for (const Report& report : s.reports) flag(report.who == me);
}

inline uint8_t RenamedBits(const std::array<uint8_t, kCachesMax>& names, uint64_t bits) {
  uint64_t renamed = bits & ~uint64_t{(1 << kCachesMax) - 1};
  for (uint8_t c = 0; c < kCachesMax; ++c) {
    if ((bits & BitOf(c)) != 0) renamed |= BitOf(names[c]);
  }
  return static_cast<uint8_t>(renamed);
}

// Cache c is called names[c] from now on.
inline void Rename(State* s, const std::array<uint8_t, kCachesMax>& names) {
  const State was = *s;
  const auto rename = [&](uint8_t* who) {
    if (*who < kCachesMax) *who = names[*who];
  };
  s->awaited = RenamedBits(names, was.awaited);
  s->outlast = RenamedBits(names, was.outlast);
  for (Report& report : s->reports) rename(&report.who);
  for (size_t c = 0; c < kCachesMax; ++c) s->caches[names[c]] = was.caches[c];
  for (size_t at = 0; at < s->homes.size(); ++at) {
    HomeSide& home = s->homes[at];
    for (size_t c = 0; c < kCachesMax; ++c) {
      home.up[names[c]] = was.homes[at].up[c];
      home.down[names[c]] = was.homes[at].down[c];
    }
    home.open = RenamedBits(names, home.open);
    home.line.sharers = RenamedBits(names, home.line.sharers);
    if (HasOwner(home.line.state)) rename(&home.line.owner);
    if (IsBusy(home.line.state)) rename(&home.line.request.who);
    for (Request& request : home.waiting) rename(&request.who);
  }
}

// Names the caches by what there is about them.
inline void SortCaches(State* s, size_t caches) {
  struct Of {
    std::array<char, 64> bytes;
    size_t size = 0;
    uint8_t cache = 0;
    BytesView view() const { return {bytes.data(), size}; }
  };
  std::array<Of, kCachesMax> all;
  for (uint8_t c = 0; c < caches; ++c) {
    BitWriter bits;
    PackAllOfCache(bits, *s, c);
    const BytesView bytes = bits.Finish();
    CHECK(bytes.size() <= all[c].bytes.size());
    std::copy(bytes.begin(), bytes.end(), all[c].bytes.begin());
    all[c].size = bytes.size();
    all[c].cache = c;
  }
  const auto below = [](const Of& a, const Of& b) { return a.view() < b.view(); };
  if (std::is_sorted(all.begin(), all.begin() + caches, below)) return;
  std::stable_sort(all.begin(), all.begin() + caches, below);
  std::array<uint8_t, kCachesMax> names{0, 1, 2};
  for (uint8_t i = 0; i < caches; ++i) names[all[i].cache] = i;
  Rename(s, names);
}

}  // namespace lockstep::mesi
