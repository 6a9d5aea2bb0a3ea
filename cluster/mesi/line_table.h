// The lines that a node has of one shard: found by key, kept in few bytes, and told in which order
// they had better go (SIEVE, Zhang et al., NSDI 2024).
//
// A line is a record of 36 bytes, which stays where it is for as long as the line lives, and a
// blob: version, key, value and, only if it has one, deadline. The index takes about 6.5 bytes a
// line at any size. With malloc's header and rounding it is below 60 bytes a line over key and
// value (tests/mesi_line_table_test.cc measures it).
//
// Always true:
//   1. No call moves more than a few hundred entries of the index: there is no rehash.
//   2. Records of removed lines are used again; their memory goes back with Clear() only.
//   3. bytes() is what the allocator has given, by glibc's rule (16 bytes' steps, 8 of header).
//   4. A line belongs to one class, by its key: each class has a queue of its own for Victim.
//
// Not thread-safe. The hash is keyed and differs from node to node: Scan's order is told to
// clients, but nothing may be decided by it. ForEach and Victim go by order of adding alone.
#pragma once

#include <array>
#include <concepts>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/mesi/line.h"
#include "src/base/check.h"
#include "src/base/hash.h"
#include "src/base/limits.h"

namespace lockstep::mesi {

// What lines of several tables take by class, for whoever limits some of them. Class 0 is of all
// others, and is not counted.
constexpr size_t kLineClasses = 32;
struct LineClasses {
  std::function<uint8_t(BytesView key)> of;  // Of a new line; none: all are of class 0.
  std::array<size_t, kLineClasses> lines{};
  std::array<size_t, kLineClasses> bytes{};
  uint32_t lru = 0;  // By bit: of these the one that was used least lately is the victim.
};

constexpr size_t kLineValueBytesMax = size_t{64} << 20;  // A key's: kNameBytesMax.

class __attribute__((packed, aligned(4))) Line {
 public:
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  BytesView key() const { return {blob() + sizeof(Header), key_size_}; }  // As long as value().
  bool present() const { return present_; }  // Else there is no such key; value() is empty.
  // Good until the line is next written (its deadline counts) or removed.
  BytesView value() const { return {blob() + sizeof(Header) + key_size_, value_size_}; }
  Version version() const { return {header()->epoch, version_gen_, header()->seq}; }
  void set_version(const Version& version);
  // The agent's, or the home's: agent.h, directory.h. 0 in a new line.
  uint8_t state() const { return state_; }
  void set_state(uint8_t state) { state_ = state & 15; }
  uint8_t line_class() const { return class_; }
  // The two share their room: which one a line has follows from its state, and whoever changes
  // between them sets it anew.
  uint64_t gen() const { return grant_ & kGenMax; }  // Of the exclusive grant. Below 2^48.
  void set_gen(uint64_t gen);
  uint64_t sharers() const { return grant_; }  // One bit a session of the home's.
  void set_sharers(uint64_t sharers) { grant_ = sharers; }
  uint8_t owner() const { return owner_; }  // A session of the home's, 0 to 63. Has its own room.
  void set_owner(uint8_t owner);
  // When its time to live is over, by this node's clock; kNeverMono: it stays.
  MonoTime deadline() const { return has_deadline_ ? ReadDeadline() : kNeverMono; }
  // Bits for whoever uses the table.
  bool ttl_is_new() const { return ttl_is_new_; }  // The owner has set the deadline.
  void set_ttl_is_new(bool is_new) { ttl_is_new_ = is_new; }
  bool dirty() const { return dirty_; }
  void set_dirty(bool dirty) { dirty_ = dirty; }
  bool pinned() const { return pinned_; }  // Never a victim.
  void set_pinned(bool pinned) { pinned_ = pinned; }
  bool durable() const { return durable_; }  // The log knows it (durable.h), or will.
  void set_durable(bool durable) { durable_ = durable; }
  bool pushes() const { return pushes_; }  // Its owner pushes what it writes (push.cc).
  void set_pushes(bool pushes) { pushes_ = pushes; }

 private:
  friend class LineTable;

  // What a blob begins with: what of the version has no room in the record. After the value stands
  // the deadline, at any address.
  struct Header {
    uint32_t epoch;
    uint32_t seq;
  };

  Line() = default;
  MonoTime ReadDeadline() const;
  char* blob() const { return reinterpret_cast<char*>(static_cast<uintptr_t>(blob_)); }
  void set_blob(char* blob);
  Header* header() const { return reinterpret_cast<Header*>(blob()); }
  size_t blob_size() const;

  // What finding and evicting look at stands first. An address has 48 bits.
  uint64_t blob_ : 48 = 0;  // 0: the record is free.
  uint64_t key_size_ : 11 = 0;
  uint64_t visited_ : 1 = 0;
  uint64_t pinned_ : 1 = 0;
  uint64_t dirty_ : 1 = 0;
  uint64_t present_ : 1 = 0;
  uint64_t has_deadline_ : 1 = 0;
  uint64_t version_gen_ : 48 = 0;
  uint64_t state_ : 4 = 0;  // Below 16.
  uint64_t ttl_is_new_ : 1 = 0;
  uint64_t class_ : 5 = 0;
  uint64_t owner_ : 6 = 0;
  uint64_t grant_ = 0;
  uint32_t value_size_ : 30 = 0;
  uint32_t durable_ : 1 = 0;
  uint32_t pushes_ : 1 = 0;
  uint32_t newer_ = 0;  // In its class's queue: in order of adding. Record numbers.
  uint32_t older_ = 0;  // Of a free record: the next free one.
};
static_assert(sizeof(Line) == 36);

// From a key's hash to the numbers of the records that may have that key. Keeps no keys.
//
// Linear hashing (Litwin, VLDB 1980): with each 32nd entry that comes, the next bucket in turn is
// split in two, so the load never changes and nothing is ever rehashed at large. A bucket is 16 to
// 64 entries in no order, found by a byte of their hashes (memchr): five bytes an entry, and an
// allocation that grows by eight.
class LineIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kNumbersMax = uint32_t{1} << 28;  // A number is below.

  LineIndex() = default;
  LineIndex(const LineIndex&) = delete;
  LineIndex& operator=(const LineIndex&) = delete;
  ~LineIndex() { Clear(); }

  // The number with this hash that `is_it`; kNone if there is none.
  template <class IsIt>
  uint32_t Find(uint64_t hash, const IsIt& is_it) const {
    return NumberAt(Locate(hash, is_it));
  }
  // `hashes_of` tells the hashes of numbers: of those in the bucket whose turn it is to be split.
  using HashesOf = std::function<std::vector<uint64_t>(const std::vector<uint32_t>& numbers)>;
  void Add(uint64_t hash, uint32_t number, const HashesOf& hashes_of);
  template <class IsIt>
  uint32_t Remove(uint64_t hash, const IsIt& is_it);
  // One bucket's numbers, of which `visit` may remove the one that it is given. Gives the next
  // cursor; 0: that was the last bucket.
  template <class Visit>
  uint64_t Scan(uint64_t cursor, const Visit& visit);
  void Clear();
  // For a number that is looked for soon: first the bucket is fetched, then the number that it most
  // likely is can be told without waiting.
  void FetchBucket(uint64_t hash) const {
    if (buckets_ > 0) Fetch(At(BucketOf(hash)));
  }
  uint32_t Likely(uint64_t hash) const {
    return Find(hash, [](uint32_t) { return true; });
  }

  size_t size() const { return size_; }
  size_t bytes() const;

 private:
  // Followed by a byte of hash for each entry that it has room for, then by their cells: the number
  // and, in the upper four bits, more of the hash.
  struct Bucket {
    uint16_t size;
    uint16_t room;  // 4, 12, 20, ...: cells are aligned, and malloc rounds little.
    uint8_t* tags() const { return reinterpret_cast<uint8_t*>(const_cast<Bucket*>(this) + 1); }
    uint32_t* cells() const { return reinterpret_cast<uint32_t*>(tags() + room); }
  };
  struct Place {
    Bucket* bucket = nullptr;  // Null: nowhere.
    size_t at = 0;
  };
  using Page = std::unique_ptr<Bucket*[]>;  // Of the list of buckets, lest it ever be copied.

  static constexpr size_t kPerBucket = 32;        // On average; above it one is split.
  static constexpr size_t kPerBucketMin = 24;     // Below it two are merged.
  static constexpr size_t kPageBuckets = 512;
  static constexpr size_t kRoomStep = 8;
  static constexpr int kCursorBits = 48;

  // Its cells stand behind its tags, on other lines of the processor's cache: asks for all at once.
  static void Fetch(const Bucket* bucket) {
    for (size_t line = 0; line < 4; ++line) {
      __builtin_prefetch(reinterpret_cast<const char*>(bucket) + line * 64);
    }
  }
  static uint8_t TagOf(uint64_t hash) { return static_cast<uint8_t>(hash >> 56); }
  static uint32_t MoreOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 52) & 15; }
  static uint32_t NumberAt(const Place& place) {
    return place.bucket == nullptr ? kNone : place.bucket->cells()[place.at] % kNumbersMax;
  }
  static size_t BucketBytes(size_t room);
  static uint64_t ReverseCursor(uint64_t bits);

  Bucket*& At(size_t bucket) const { return pages_[bucket / kPageBuckets][bucket % kPageBuckets]; }
  // Those that were split since there were a power of two of them, and what was split off, stand
  // for one bit more of the hash than the others.
  size_t BucketOf(uint64_t hash) const {
    const size_t bucket = hash & mask_;
    return bucket < buckets_ ? bucket : bucket & (mask_ >> 1);
  }
  int BitsOf(size_t bucket) const;
  template <class IsIt>
  Place Locate(uint64_t hash, const IsIt& is_it) const;

  void SetRoom(Bucket** bucket, size_t room);
  void Append(Bucket** bucket, uint8_t tag, uint32_t cell);
  void Trim(Bucket** bucket);
  void AddBucket();
  std::vector<uint32_t> NumbersIn(size_t bucket) const;
  void Split(const HashesOf& hashes_of);
  void Merge();

  std::vector<Page> pages_;
  size_t buckets_ = 0;
  size_t mask_ = 0;  // The least 2^n - 1 that no bucket's number is above.
  size_t size_ = 0;
  size_t bucket_bytes_ = 0;
};

// A key and its hash, which costs as much as the rest of finding its line.
struct HashedKey {
  template <class Text>
    requires std::convertible_to<Text, BytesView>
  HashedKey(const Text& text) : bytes(text), hash(KeyedHash(bytes)) {}  // NOLINT: a key is a key.
  HashedKey(BytesView key, uint64_t hash_of_key, uint32_t likely_record)
      : bytes(key), hash(hash_of_key), likely(likely_record) {}

  BytesView bytes;
  uint64_t hash;
  uint32_t likely = LineIndex::kNone;  // Where it was of late; looked at first.
};

// At most 2^28 lines.
class LineTable {
 public:
  static constexpr uint32_t kNone = LineIndex::kNone;

  LineTable() = default;
  LineTable(const LineTable&) = delete;
  LineTable& operator=(const LineTable&) = delete;
  ~LineTable() { Clear(); }

  // Before there is any line; they outlive the table.
  void set_classes(LineClasses* classes) { classes_ = classes; }

  Line* Find(const HashedKey& key);  // Null: none. Allocates nothing.
  Line* Add(BytesView key);   // That is not there yet: not present, state 0.
  void Remove(Line* line);
  // Lookups that wait for memory cost most of a GET; many of them can wait at the same time. For
  // each key to come, in three rounds over all of them: bucket, record, blob.
  void FetchBucket(uint64_t hash) const { index_.FetchBucket(hash); }
  uint32_t FetchRecord(uint64_t hash) const;  // kNone: nothing is there.
  void FetchBlob(uint32_t record) const {
    if (record == kNone) return;
    const char* const blob = At(record).blob();
    for (size_t at = 0; at < 3; ++at) __builtin_prefetch(blob + at * 64);
  }
  // Lines stay where they are for as long as they live. What is given may be a part of the line's
  // own value. At most 64 MiB.
  void SetValue(Line* line, BytesView value);  // Present from now on; its deadline is kept.
  void ClearValue(Line* line);                 // Not present; no deadline.
  void SetDeadline(Line* line, MonoTime deadline);
  // As a line that was just added, by another rule than it was.
  void SetClass(Line* line, uint8_t line_class);
  void Clear();

  size_t size() const { return index_.size(); }
  size_t present() const { return present_; }  // Of them,
  size_t with_deadline() const { return with_deadline_; }  // of which these have one.
  size_t bytes() const;  // Of memory, index and allocator's overhead included.
  size_t bytes_of(uint8_t line_class) const { return queues_[line_class].bytes; }  // Not of 0.

  // Used again: goes later.
  void Touch(Line* line) {
    if (classed_ != 0 && IsLru(*line)) return MakeNewest(line);
    if (!line->visited_) line->visited_ = true;  // Hot lines are read only, and stay in caches.
  }
  // The line that had better go next, of those that `may_go` (called with a const Line&); null:
  // none within `looks`. Those that it passes over have used up their second chance, but not those
  // that are pinned or may not go. It is found again until it is removed, touched or pinned.
  // Of this class; if none is named, of the one that takes the most memory here. Whoever looks for
  // lines of two kinds has a hand for each: else a search in vain for the one moves on that of the
  // other, whose lines would go in no order.
  template <class MayGo>
  Line* Victim(size_t looks, const MayGo& may_go, std::optional<uint8_t> line_class = {},
               size_t hand = 0);

  // All lines, in no order that means anything. `visit` (called with a Line*) may remove the line
  // that it is given, and no other, and add none.
  template <class Visit>
  void ForEach(const Visit& visit);
  // SCAN's guarantees (Redis's dictScan: reverse binary cursor): whatever is there all the time is
  // visited at least once between cursor 0 and cursor 0. Gives the next cursor. At most 2^48; any
  // number will do for one. Visits whole buckets: up to about 100 lines more than `count`. `visit`
  // (called with a Line*) may do what ForEach's may: so it serves for a walk in small steps too.
  template <class Visit>
  uint64_t Scan(uint64_t cursor, size_t count, const Visit& visit);

 private:
  static constexpr size_t kChunkLines = 256;
  static constexpr size_t kHands = 2;

  Line& At(uint32_t number) const { return chunks_[number / kChunkLines][number % kChunkLines]; }
  uint32_t NewRecord();
  struct Queue {
    uint32_t newest = kNone;
    uint32_t oldest = kNone;
    // Of SIEVE: go from the oldest to the newest. kNone: begins anew.
    std::array<uint32_t, kHands> hands = {kNone, kNone};
    size_t bytes = 0;       // Not of class 0.
  };
  void Link(uint32_t number);
  void Unlink(uint32_t number);
  bool IsLru(const Line& line) const { return (classes_->lru >> line.class_ & 1) != 0; }
  void MakeNewest(Line* line);
  uint32_t NumberOf(const Line& line) const;
  uint8_t LargestClass() const;
  size_t CountedBytes(const Line& line) const;
  void Count(const Line& line);    // If it is of a class that is counted.
  void Uncount(const Line& line);
  std::vector<uint64_t> HashesOf(const std::vector<uint32_t>& numbers) const;
  char* NewBlob(size_t bytes);
  void FreeBlob(const Line& line);
  // The only way in which a blob changes after Add.
  void Write(Line* line, BytesView value, MonoTime deadline);

  LineIndex index_;
  std::vector<std::unique_ptr<Line[]>> chunks_;
  uint32_t records_ = 0;    // That were ever used. A removed line's is in the list of free ones.
  uint32_t free_ = kNone;
  std::array<Queue, kLineClasses> queues_;
  size_t classed_ = 0;  // Lines that are not of class 0.
  LineClasses* classes_ = nullptr;
  size_t present_ = 0;
  size_t with_deadline_ = 0;
  size_t blob_bytes_ = 0;
};

// Of templates, what is too long to stand above ---------------------------------------------------

template <class IsIt>
LineIndex::Place LineIndex::Locate(uint64_t hash, const IsIt& is_it) const {
  if (buckets_ == 0) return {};
  Bucket* const bucket = At(BucketOf(hash));
  if (bucket == nullptr) return {};
  Fetch(bucket);
  const uint8_t* const tags = bucket->tags();
  for (size_t at = 0; at < bucket->size; ++at) {
    const void* const found = std::memchr(tags + at, TagOf(hash), bucket->size - at);
    if (found == nullptr) return {};
    at = static_cast<size_t>(static_cast<const uint8_t*>(found) - tags);
    const uint32_t cell = bucket->cells()[at];
    if (cell / kNumbersMax == MoreOf(hash) && is_it(cell % kNumbersMax)) return {bucket, at};
  }
  return {};
}

template <class IsIt>
uint32_t LineIndex::Remove(uint64_t hash, const IsIt& is_it) {
  const Place place = Locate(hash, is_it);
  const uint32_t number = NumberAt(place);
  if (number == kNone) return kNone;
  Bucket* const bucket = place.bucket;
  const size_t last = --bucket->size;
  bucket->tags()[place.at] = bucket->tags()[last];
  bucket->cells()[place.at] = bucket->cells()[last];
  --size_;
  Trim(&At(BucketOf(hash)));
  if (buckets_ > 1 && size_ < (buckets_ - 1) * kPerBucketMin) Merge();
  return number;
}

// A cursor is a place in the order of the hashes by their bits from the lowest on. There each
// bucket is one stretch, and so are its parts and what it is merged into. What stands before the
// cursor was visited.
template <class Visit>
uint64_t LineIndex::Scan(uint64_t cursor, const Visit& visit) {
  if (buckets_ == 0) return 0;
  const size_t bucket = BucketOf(ReverseCursor(cursor));
  const int below = kCursorBits - BitsOf(bucket);
  const uint64_t next = ((cursor >> below) + 1) << below;
  // A copy, since the bucket may shrink or be merged meanwhile.
  for (const uint32_t number : NumbersIn(bucket)) visit(number);
  return next % (uint64_t{1} << kCursorBits);
}

template <class MayGo>
Line* LineTable::Victim(size_t looks, const MayGo& may_go, std::optional<uint8_t> line_class,
                        size_t which) {
  Queue& queue = queues_[line_class.value_or(classed_ == 0 ? uint8_t{0} : LargestClass())];
  uint32_t& hand = queue.hands[which];
  for (; looks > 0 && queue.oldest != kNone; --looks) {
    if (hand == kNone) hand = queue.oldest;
    Line& line = At(hand);
    if (!line.pinned_ && may_go(std::as_const(line))) {
      if (!line.visited_) return &line;
      line.visited_ = false;
    }
    hand = line.newer_;
  }
  return nullptr;
}

template <class Visit>
void LineTable::ForEach(const Visit& visit) {
  for (uint32_t number = 0; number < records_; ++number) {
    if (Line& line = At(number); line.blob_ != 0) visit(&line);
  }
}

template <class Visit>
uint64_t LineTable::Scan(uint64_t cursor, size_t count, const Visit& visit) {
  size_t visited = 0;
  do {
    cursor = index_.Scan(cursor, [&](uint32_t number) {
      visit(&At(number));
      ++visited;
    });
  } while (cursor != 0 && visited < count);
  return cursor;
}

}  // namespace lockstep::mesi
