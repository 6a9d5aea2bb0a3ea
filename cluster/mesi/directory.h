// The home's side of the protocol as a table: who has a line, and what becomes of a request for it.
// The one serializer of the line: every transaction is between the home and one cache.
//
// Pure, as agent_table.h. Caches are numbered 0 to 63, as the home's sessions are; the home's own
// clients are kHome: they read and write the home's value directly.
//
// Always true:
//   1. kX: the owner's value may be newer than the home's, which nobody is shown any more.
//   2. kU, kSh: the home's value is the latest. Every cache that can read the line is in `sharers`
//      (more may be: a line that is only read is dropped without a word).
//   3. Busy: one request is being served, the others wait in their order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lockstep::mesi {

constexpr uint8_t kHome = 64;
constexpr size_t kCaches = 64;
constexpr uint64_t BitOf(uint8_t cache) { return uint64_t{1} << cache; }

enum class Dir : uint8_t {
  kU,     // Only the home has it.
  kSh,    // Caches may read it.
  kX,     // A cache owns it.
  kBInv,  // Waits until its readers have dropped it.
  kBRS,   // Waits for the owner's value, which the owner may keep for reading.
  kBRX,   // Waits for the owner's value, and for the owner to drop it.
};
constexpr size_t kDirs = 6;
const char* NameOf(Dir state);
constexpr bool IsBusy(Dir state) { return state >= Dir::kBInv; }
// The home's value is the latest, and may be shown.
constexpr bool HomeServes(Dir state) { return state == Dir::kU || state == Dir::kSh; }

// What somebody wants of the line.
struct Request {
  uint8_t who = kHome;
  bool write = false;
  bool have = false;  // It has the value, and may read it.
  bool operator==(const Request&) const = default;
};

// A line as the table sees it.
struct DirLine {
  Dir state = Dir::kU;
  uint64_t sharers = 0;  // kSh. kBInv: those who have not dropped it yet.
  uint8_t owner = 0;     // kX, kBRS, kBRX,
  uint64_t gen = 0;      // as this: of its grant.
  Request request;       // Busy: what is being served. `who` may have gone (kNobody).
  bool operator==(const DirLine&) const = default;
};
constexpr uint8_t kNobody = 65;

// What a cache says of a line that it owns, or owned.
struct FromOwner {
  uint8_t who = 0;
  uint64_t gen = 0;
  bool keeps = false;  // It goes on reading.
};

enum DirAction : uint16_t {
  kDirNothing = 0,
  kTakeData = 1 << 0,    // The message's value, if it has one, becomes the home's.
  kForget = 1 << 1,      // The value is lost: there is none from now on, under a new generation.
  kGrantS = 1 << 2,      // Data.S to the request's cache. To kHome: its clients may read.
  kGrantX = 1 << 3,      // Data.X under DirLine::gen. To kHome: its clients may write.
  kGrantUpgrade = 1 << 4,  // UpgradeOK under DirLine::gen.
  kSendInv = 1 << 5,     // To all in DirLine::sharers.
  kSendRecallS = 1 << 6,  // To DirLine::owner,
  kSendRecallX = 1 << 7,  // as this.
  kWbAck = 1 << 8,       // To the one who wrote back.
  kWbAckKeeping = 1 << 9,
  kQueue = 1 << 10,      // The request waits; it is to be asked for again when kNext says so.
  kNext = 1 << 11,       // The line is not busy any more.
};

struct DirStep {
  uint16_t actions = 0;
  bool possible = true;  // Else the peer is wrong: nothing was changed.
};

// `next_gen` gives the generation of the next exclusive grant: one above all before it.
DirStep OnRequest(DirLine* line, const Request& request, uint64_t* next_gen);
DirStep OnInvAck(DirLine* line, uint8_t who, uint64_t* next_gen);
DirStep OnRecallAck(DirLine* line, const FromOwner& from, uint64_t* next_gen);
// An owner gives the line up. `keeps`: all but its value.
DirStep OnWriteBack(DirLine* line, const FromOwner& from, uint64_t* next_gen);
// The cache has nothing any more: its session is over, and so is its lease.
DirStep OnGone(DirLine* line, uint8_t who, uint64_t* next_gen);

}  // namespace lockstep::mesi
