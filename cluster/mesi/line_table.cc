#include "cluster/mesi/line_table.h"

#include <algorithm>
#include <bit>

#include "src/base/hash.h"

namespace lockstep::mesi {
namespace {

// What malloc takes for so many bytes: glibc's rule, near enough to others'. So the class of a
// blob follows from its size and is stored nowhere.
constexpr size_t kMallocHeaderBytes = 8;
constexpr size_t AllocatedBytes(size_t bytes) {
  return std::max<size_t>((bytes + kMallocHeaderBytes + 15) / 16 * 16, 32);
}
// All of which may be used.
constexpr size_t UsableBytes(size_t bytes) { return AllocatedBytes(bytes) - kMallocHeaderBytes; }

constexpr size_t kRecordBytes = sizeof(Line) + 7;  // With its share of the index.

}  // namespace

// Line --------------------------------------------------------------------------------------------

void Line::set_version(const Version& version) {
  CHECK(version.epoch <= UINT32_MAX && version.gen <= kGenMax && version.seq <= kSeqMax);
  header()->epoch = static_cast<uint32_t>(version.epoch);
  version_gen_ = version.gen & kGenMax;
  header()->seq = static_cast<uint32_t>(version.seq);
}

void Line::set_gen(uint64_t gen) {
  CHECK(gen <= kGenMax);
  grant_ = gen;
}

void Line::set_owner(uint8_t owner) {
  CHECK(owner < 64);
  owner_ = owner % 64;
}

void Line::set_blob(char* blob) {
  const auto address = reinterpret_cast<uintptr_t>(blob);
  constexpr uintptr_t kAddressMax = (uintptr_t{1} << 48) - 1;
  CHECK(address <= kAddressMax);
  blob_ = address & kAddressMax;
}

size_t Line::blob_size() const {
  return sizeof(Header) + key_size_ + value_size_ + (has_deadline_ ? sizeof(MonoTime) : 0);
}

MonoTime Line::ReadDeadline() const {
  MonoTime deadline;
  std::memcpy(&deadline, value().data() + value_size_, sizeof deadline);
  return deadline;
}

// LineIndex ---------------------------------------------------------------------------------------

size_t LineIndex::BucketBytes(size_t room) {
  return AllocatedBytes(sizeof(Bucket) + room * (sizeof(uint8_t) + sizeof(uint32_t)));
}

uint64_t LineIndex::ReverseCursor(uint64_t bits) {
  uint64_t reversed = 0;
  for (int i = 0; i < kCursorBits; ++i) reversed |= (bits >> i & 1) << (kCursorBits - 1 - i);
  return reversed;
}

int LineIndex::BitsOf(size_t bucket) const {
  const size_t upper = mask_ - (mask_ >> 1);  // The highest bit that a bucket's number can have.
  const bool is_split = bucket >= upper || bucket + upper < buckets_;
  return std::popcount(mask_) - (is_split ? 0 : 1);
}

void LineIndex::SetRoom(Bucket** bucket, size_t room) {
  CHECK(room <= UINT16_MAX);
  Bucket* const old = *bucket;
  auto* const made = static_cast<Bucket*>(
      ::operator new(sizeof(Bucket) + room * (sizeof(uint8_t) + sizeof(uint32_t))));
  made->size = old == nullptr ? uint16_t{0} : old->size;
  made->room = static_cast<uint16_t>(room);
  bucket_bytes_ += BucketBytes(room);
  *bucket = made;
  if (old == nullptr) return;
  std::memcpy(made->tags(), old->tags(), old->size);
  std::memcpy(made->cells(), old->cells(), old->size * sizeof(uint32_t));
  bucket_bytes_ -= BucketBytes(old->room);
  ::operator delete(old);
}

void LineIndex::Append(Bucket** bucket, uint8_t tag, uint32_t cell) {
  if (*bucket == nullptr) {
    SetRoom(bucket, kRoomStep / 2);
  } else if ((*bucket)->size == (*bucket)->room) {
    SetRoom(bucket, (*bucket)->room + kRoomStep);
  }
  Bucket* const it = *bucket;
  it->tags()[it->size] = tag;
  it->cells()[it->size] = cell;
  ++it->size;
}

// Leaves half a step of room to spare, lest one that comes and goes cost an allocation each time.
void LineIndex::Trim(Bucket** bucket) {
  const Bucket& it = **bucket;
  if (it.room <= it.size + kRoomStep + kRoomStep / 2) return;
  SetRoom(bucket, (it.size + kRoomStep / 2 - 1) / kRoomStep * kRoomStep + kRoomStep / 2);
}

void LineIndex::AddBucket() {
  if (buckets_ % kPageBuckets == 0) pages_.push_back(std::make_unique<Bucket*[]>(kPageBuckets));
  ++buckets_;
  mask_ = std::bit_ceil(buckets_) - 1;
}

std::vector<uint32_t> LineIndex::NumbersIn(size_t bucket) const {
  std::vector<uint32_t> numbers;
  const Bucket* const it = At(bucket);
  if (it == nullptr) return numbers;
  numbers.reserve(it->size);
  for (size_t at = 0; at < it->size; ++at) numbers.push_back(it->cells()[at] % kNumbersMax);
  return numbers;
}

void LineIndex::Add(uint64_t hash, uint32_t number, const HashesOf& hashes_of) {
  CHECK(number < kNumbersMax);
  if (size_ >= buckets_ * kPerBucket) Split(hashes_of);
  Append(&At(BucketOf(hash)), TagOf(hash), MoreOf(hash) * kNumbersMax + number);
  ++size_;
}

void LineIndex::Split(const HashesOf& hashes_of) {
  AddBucket();
  if (buckets_ == 1) return;
  const size_t upper = buckets_ - 1;
  const size_t lower = upper & (mask_ >> 1);
  Bucket*& from = At(lower);
  if (from == nullptr) return;

  const std::vector<uint64_t> hashes = hashes_of(NumbersIn(lower));
  from->size = 0;
  for (size_t at = 0; at < hashes.size(); ++at) {
    Bucket** const to = BucketOf(hashes[at]) == upper ? &At(upper) : &from;
    Append(to, from->tags()[at], from->cells()[at]);
  }
  Trim(&from);
}

// Undoes the latest split.
void LineIndex::Merge() {
  Bucket*& from = At(buckets_ - 1);
  Bucket** const to = &At((buckets_ - 1) & (mask_ >> 1));
  if (from != nullptr) {
    for (size_t at = 0; at < from->size; ++at) Append(to, from->tags()[at], from->cells()[at]);
    bucket_bytes_ -= BucketBytes(from->room);
    ::operator delete(std::exchange(from, nullptr));
  }
  --buckets_;
  mask_ = std::bit_ceil(buckets_) - 1;
  if (buckets_ % kPageBuckets == 0) pages_.pop_back();
}

void LineIndex::Clear() {
  for (size_t bucket = 0; bucket < buckets_; ++bucket) ::operator delete(At(bucket));
  pages_ = std::vector<Page>();
  buckets_ = mask_ = size_ = bucket_bytes_ = 0;
}

size_t LineIndex::bytes() const {
  if (pages_.empty()) return 0;
  return bucket_bytes_ + pages_.size() * AllocatedBytes(kPageBuckets * sizeof(Bucket*)) +
         AllocatedBytes(pages_.capacity() * sizeof(Page));
}

// LineTable ---------------------------------------------------------------------------------------

// A record that is free has no blob, and one that was used again another key.
Line* LineTable::Find(const HashedKey& key) {
  const auto is_it = [&](uint32_t record) { return At(record).key() == key.bytes; };
  if (key.likely < records_ && At(key.likely).blob_ != 0 && is_it(key.likely)) {
    return &At(key.likely);
  }
  const uint32_t number = index_.Find(key.hash, is_it);
  return number == kNone ? nullptr : &At(number);
}

uint32_t LineTable::FetchRecord(uint64_t hash) const {
  const uint32_t record = index_.Likely(hash);
  if (record != kNone) __builtin_prefetch(&At(record));
  return record;
}

Line* LineTable::Add(BytesView key) {
  CHECK(key.size() <= kNameBytesMax);
  const uint32_t number = NewRecord();
  Line& line = At(number);
  line.set_blob(NewBlob(sizeof(Line::Header) + key.size()));
  line.key_size_ = key.size() & 2047;
  *line.header() = {};
  key.copy(line.blob() + sizeof(Line::Header), key.size());
  if (classes_ != nullptr && classes_->of) line.class_ = classes_->of(key) % kLineClasses;
  Link(number);
  Count(line);
  index_.Add(KeyedHash(key), number,
             [this](const std::vector<uint32_t>& numbers) { return HashesOf(numbers); });
  return &line;
}

void LineTable::Remove(Line* line) {
  const uint32_t number = index_.Remove(
      KeyedHash(line->key()), [&](uint32_t candidate) { return &At(candidate) == line; });
  CHECK(number != kNone);
  Unlink(number);
  Uncount(*line);
  present_ -= line->present_;
  with_deadline_ -= line->has_deadline_;
  FreeBlob(*line);
  ::new (line) Line;
  line->older_ = free_;
  free_ = number;
}

void LineTable::SetValue(Line* line, BytesView value) {
  CHECK(value.size() <= kLineValueBytesMax);
  Write(line, value, line->deadline());
  present_ += !line->present_;
  line->present_ = true;
}

void LineTable::ClearValue(Line* line) {
  Write(line, {}, kNeverMono);
  present_ -= line->present_;
  line->present_ = false;
}

void LineTable::SetDeadline(Line* line, MonoTime deadline) {
  Write(line, line->value(), deadline);
}

void LineTable::Clear() {
  ForEach([this](Line* line) {
    Uncount(*line);
    FreeBlob(*line);
  });
  index_.Clear();
  chunks_ = decltype(chunks_)();
  records_ = 0;
  free_ = kNone;
  queues_ = {};
  present_ = with_deadline_ = 0;
  CHECK(blob_bytes_ == 0);
}

size_t LineTable::bytes() const {
  if (chunks_.empty()) return index_.bytes();
  return blob_bytes_ + index_.bytes() +
         chunks_.size() * AllocatedBytes(kChunkLines * sizeof(Line)) +
         AllocatedBytes(chunks_.capacity() * sizeof(chunks_[0]));
}

uint32_t LineTable::NewRecord() {
  if (free_ != kNone) {
    const uint32_t number = free_;
    free_ = At(number).older_;
    return number;
  }
  CHECK_SAYS(records_ < LineIndex::kNumbersMax, "a shard's cache has %u lines", records_);
  if (records_ % kChunkLines == 0) chunks_.emplace_back(new Line[kChunkLines]);
  return records_++;
}

void LineTable::Link(uint32_t number) {
  Line& line = At(number);
  Queue& queue = queues_[line.class_];
  line.newer_ = kNone;
  line.older_ = std::exchange(queue.newest, number);
  (line.older_ == kNone ? queue.oldest : At(line.older_).newer_) = number;
}

void LineTable::Unlink(uint32_t number) {
  const Line& line = At(number);
  Queue& queue = queues_[line.class_];
  for (uint32_t& hand : queue.hands) {
    if (hand == number) hand = line.newer_;
  }
  (line.newer_ == kNone ? queue.newest : At(line.newer_).older_) = line.older_;
  (line.older_ == kNone ? queue.oldest : At(line.older_).newer_) = line.newer_;
}

uint32_t LineTable::NumberOf(const Line& line) const {
  return line.older_ == kNone ? queues_[line.class_].oldest : At(line.older_).newer_;
}

void LineTable::MakeNewest(Line* line) {
  if (line->newer_ == kNone) return;
  const uint32_t number = NumberOf(*line);
  Unlink(number);
  Link(number);
}

void LineTable::SetClass(Line* line, uint8_t line_class) {
  CHECK(line_class < kLineClasses && classes_ != nullptr);
  if (line->class_ == line_class) return;
  const uint32_t number = NumberOf(*line);
  Uncount(*line);
  Unlink(number);
  line->class_ = line_class % kLineClasses;
  Link(number);
  Count(*line);
}

uint8_t LineTable::LargestClass() const {
  size_t of_none = blob_bytes_ + size() * kRecordBytes;
  for (const Queue& queue : queues_) of_none -= queue.bytes;
  uint8_t largest = 0;
  for (uint8_t i = 1; i < kLineClasses; ++i) {
    if (queues_[i].bytes > std::max(of_none, queues_[largest].bytes)) largest = i;
  }
  return largest;
}

size_t LineTable::CountedBytes(const Line& line) const {
  return kRecordBytes + AllocatedBytes(line.blob_size());
}

void LineTable::Count(const Line& line) {
  if (line.class_ == 0) return;
  ++classed_;
  ++classes_->lines[line.class_];
  queues_[line.class_].bytes += CountedBytes(line);
  classes_->bytes[line.class_] += CountedBytes(line);
}

void LineTable::Uncount(const Line& line) {
  if (line.class_ == 0) return;
  --classed_;
  --classes_->lines[line.class_];
  queues_[line.class_].bytes -= CountedBytes(line);
  classes_->bytes[line.class_] -= CountedBytes(line);
}

// In three passes, so that the processor fetches all of them at once: they are anywhere in memory.
std::vector<uint64_t> LineTable::HashesOf(const std::vector<uint32_t>& numbers) const {
  for (const uint32_t number : numbers) __builtin_prefetch(&At(number));
  for (const uint32_t number : numbers) __builtin_prefetch(At(number).blob());
  std::vector<uint64_t> hashes;
  hashes.reserve(numbers.size());
  for (const uint32_t number : numbers) hashes.push_back(KeyedHash(At(number).key()));
  return hashes;
}

char* LineTable::NewBlob(size_t bytes) {
  char* const blob = static_cast<char*>(::operator new(UsableBytes(bytes)));
  blob_bytes_ += AllocatedBytes(bytes);
  return blob;
}

void LineTable::FreeBlob(const Line& line) {
  blob_bytes_ -= AllocatedBytes(line.blob_size());
  ::operator delete(line.blob());
}

void LineTable::Write(Line* line, BytesView value, MonoTime deadline) {
  const bool has_deadline = deadline != kNeverMono;
  const size_t head = sizeof(Line::Header) + line->key_size_;
  const size_t bytes = head + value.size() + (has_deadline ? sizeof deadline : 0);

  // The old blob goes last: `value` may be in it.
  const bool stays = AllocatedBytes(bytes) == AllocatedBytes(line->blob_size());
  char* const blob = stays ? line->blob() : NewBlob(bytes);
  if (!stays) Uncount(*line);
  if (value.size() > 0 && value.data() != blob + head) {
    std::memmove(blob + head, value.data(), value.size());
  }
  if (has_deadline) std::memcpy(blob + bytes - sizeof deadline, &deadline, sizeof deadline);
  if (!stays) {
    std::memcpy(blob, line->blob(), head);
    FreeBlob(*line);
    line->set_blob(blob);
  }
  line->value_size_ = static_cast<uint32_t>(value.size()) & 0x3FFFFFFF;
  with_deadline_ += has_deadline;
  with_deadline_ -= line->has_deadline_;
  line->has_deadline_ = has_deadline;
  if (!stays) Count(*line);
}

}  // namespace lockstep::mesi
