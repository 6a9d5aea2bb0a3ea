#include "commands/cache_spaces.h"

#include <algorithm>
#include <array>
#include <utility>

#include "src/base/check.h"

namespace lockstep {
namespace {

using Option = SpaceChange::Option;

constexpr const char* kDurabilities[] = {"back", "home", "quorum"};
constexpr const char* kReads[] = {"shared", "exclusive"};
constexpr const char* kPolicies[] = {"sieve", "lru", "noeviction"};
constexpr const char* kOnNoLease[] = {"error", "miss"};

template <class Enum, size_t n>
Reply Word(const char* const (&names)[n], Enum value) {
  return Reply::Bulk(names[static_cast<size_t>(value)]);
}

// The largest value that an option may have; nothing: there is no such option.
std::optional<int64_t> MaxOf(Option option) {
  switch (option) {
    case Option::kClass: return int64_t{std::size(kDurabilities) - 1};
    case Option::kReads: return int64_t{std::size(kReads) - 1};
    case Option::kTtl: return kSpaceTtlMsMax;
    case Option::kMemory: return kSpaceMemoryMax;
    case Option::kPolicy: return int64_t{std::size(kPolicies) - 1};
    case Option::kOnNoLease: return int64_t{std::size(kOnNoLease) - 1};
  }
  return std::nullopt;
}

void Apply(const SpaceChange::One& one, Space* space) {
  switch (one.option) {
    case Option::kClass: space->durability = static_cast<Space::Durability>(one.value); break;
    case Option::kReads: space->reads = static_cast<Space::Reads>(one.value); break;
    case Option::kTtl: space->ttl_ms = one.value; break;
    case Option::kMemory: space->memory_max = one.value; break;
    case Option::kPolicy: space->policy = static_cast<Space::Policy>(one.value); break;
    case Option::kOnNoLease: space->on_no_lease = static_cast<Space::OnNoLease>(one.value); break;
  }
}

// As a change that makes it of nothing, which is how it is saved.
SpaceChange ChangeThatMakes(const Space& space) {
  return {space.prefix,
          {{Option::kClass, static_cast<int64_t>(space.durability)},
           {Option::kReads, static_cast<int64_t>(space.reads)},
           {Option::kTtl, space.ttl_ms},
           {Option::kMemory, space.memory_max},
           {Option::kPolicy, static_cast<int64_t>(space.policy)},
           {Option::kOnNoLease, static_cast<int64_t>(space.on_no_lease)}}};
}

bool Before(const Space& space, BytesView prefix) { return space.prefix < prefix; }

}  // namespace

Reply Space::Describe() const {
  Reply map = Reply::Map();
  map.Add("prefix", Reply::Bulk(prefix));
  map.Add("class", Word(kDurabilities, durability));
  map.Add("reads", Word(kReads, reads));
  map.Add("ttl", Reply::Integer(ttl_ms));
  map.Add("maxmemory", Reply::Integer(memory_max));
  map.Add("policy", Word(kPolicies, policy));
  map.Add("onnolease", Word(kOnNoLease, on_no_lease));
  return map;
}

Spaces Spaces::AtFirst() {
  Spaces spaces;
  const auto quorum = static_cast<int64_t>(Space::Durability::kQuorum);
  CHECK(!spaces.Change({"lock:", {{Option::kClass, quorum}}}).is_error());
  return spaces;
}

const Space* Spaces::At(BytesView prefix) const {
  const auto at = std::lower_bound(all_.begin(), all_.end(), prefix, Before);
  return at != all_.end() && at->prefix == prefix ? &*at : nullptr;
}

// Between a prefix of the key and the key stand, in their order, only names that begin with that
// prefix too. So the last one that is not behind the key has all prefixes of the key among its own.
const Space* Spaces::FindLongest(BytesView key) const {
  const auto behind = std::upper_bound(
      all_.begin(), all_.end(), key,
      [](BytesView name, const Space& space) { return name < space.prefix; });
  if (behind == all_.begin()) return nullptr;
  auto at = static_cast<uint32_t>(behind - all_.begin() - 1);
  const BytesView last = all_[at].prefix;
  const auto differ = std::mismatch(last.begin(), last.end(), key.begin(), key.end());
  const auto common = static_cast<size_t>(differ.first - last.begin());
  while (at != kNone && all_[at].prefix.size() > common) at = shorter_[at];
  return at == kNone ? nullptr : &all_[at];
}

Reply Spaces::Change(const SpaceChange& change) {
  Space space;
  if (const Space* known = At(change.prefix)) space = *known;
  space.prefix = change.prefix;
  for (const SpaceChange::One& one : change.options) Apply(one, &space);
  const bool is_new = At(space.prefix) == nullptr;
  if (is_new && all_.size() >= kSpacesMax) {
    return Reply::Error("LIMIT", Format("at most %zu prefixes may have options; nothing was "
                                        "changed", kSpacesMax));
  }
  if (space.memory_max == 0) space.number = 0;
  if (space.memory_max > 0 && space.number == 0) {
    const std::optional<uint8_t> number = FreeNumber();
    if (!number) {
      return Reply::Error("LIMIT", Format("at most %zu prefixes may have a MAXMEMORY; nothing was "
                                          "changed", kSpacesWithMemoryMax));
    }
    space.number = *number;
  }
  const auto at = std::lower_bound(all_.begin(), all_.end(), space.prefix, Before);
  if (is_new) {
    all_.insert(at, std::move(space));
  } else if (*at != space) {
    *at = std::move(space);
  } else {
    return Reply::Ok();
  }
  ++version_;
  Link();
  return Reply::Ok();
}

Reply Spaces::Drop(BytesView prefix) {
  const auto at = std::lower_bound(all_.begin(), all_.end(), prefix, Before);
  if (at == all_.end() || at->prefix != prefix) return Reply::Integer(0);
  all_.erase(at);
  ++version_;
  Link();
  return Reply::Integer(1);
}

std::optional<uint8_t> Spaces::FreeNumber() const {
  std::array<bool, kSpacesWithMemoryMax + 1> taken{};
  for (const Space& space : all_) taken[space.number] = true;
  for (uint8_t number = 1; number < taken.size(); ++number) {
    if (!taken[number]) return number;
  }
  return std::nullopt;
}

// Those that a space begins with stand before it, the longest last: they are as a stack.
void Spaces::Link() {
  begins_.reset();
  has_empty_ = At("") != nullptr;
  for (const Space& space : all_) {
    if (!space.prefix.empty()) begins_.set(ByteOf(space.prefix[0]));
  }
  shorter_.assign(all_.size(), kNone);
  uint32_t top = kNone;
  for (uint32_t i = 0; i < all_.size(); ++i) {
    while (top != kNone && !all_[i].prefix.starts_with(all_[top].prefix)) top = shorter_[top];
    shorter_[i] = top;
    top = i;
  }
}

void Spaces::Save(Writer* out) const {
  out->Varint(version_);
  out->Varint(all_.size());
  for (const Space& space : all_) {
    EncodeSpaceChange(ChangeThatMakes(space), out);
    out->U8(space.number);
  }
}

void Spaces::Load(Reader* in) {
  all_.clear();
  version_ = in->Varint();
  const size_t n = in->Count();
  if (n > kSpacesMax) in->Fail();
  for (size_t i = 0; i < n && in->ok(); ++i) {
    const SpaceChange change = DecodeSpaceChange(in);
    Space& space = all_.emplace_back();
    space.prefix = change.prefix;
    for (const SpaceChange::One& one : change.options) Apply(one, &space);
    space.number = in->U8();
  }
  if (in->ok() && !IsSound()) in->Fail();
  if (!in->ok()) {
    all_.clear();
    version_ = 0;
  }
  Link();
}

bool Spaces::IsSound() const {
  std::array<bool, kSpacesWithMemoryMax + 1> taken{};
  for (size_t i = 0; i < all_.size(); ++i) {
    const Space& space = all_[i];
    if (i > 0 && all_[i - 1].prefix >= space.prefix) return false;
    if (space.prefix.size() > kNameBytesMax || space.number > kSpacesWithMemoryMax) return false;
    if ((space.number > 0) != (space.memory_max > 0)) return false;
    if (space.number > 0 && std::exchange(taken[space.number], true)) return false;
  }
  return all_.size() <= kSpacesMax && version_ >= all_.size();
}

void Spaces::CheckInvariants() const {
  CHECK(IsSound());
  CHECK(shorter_.size() == all_.size());
}

void EncodeSpaceChange(const SpaceChange& change, Writer* out) {
  out->String(change.prefix);
  out->Varint(change.options.size());
  for (const SpaceChange::One& one : change.options) {
    out->U8(static_cast<uint8_t>(one.option));
    out->Varint(static_cast<uint64_t>(one.value));
  }
}

SpaceChange DecodeSpaceChange(Reader* in) {
  SpaceChange change;
  change.prefix = in->String();
  if (change.prefix.size() > kNameBytesMax) in->Fail();
  const size_t n = in->Count(2);
  for (size_t i = 0; i < n && in->ok(); ++i) {
    const auto option = static_cast<Option>(in->U8());
    const uint64_t value = in->Varint();
    const std::optional<int64_t> max = MaxOf(option);
    if (!max || value > static_cast<uint64_t>(*max)) in->Fail();
    change.options.push_back({option, static_cast<int64_t>(value)});
  }
  return change;
}

}  // namespace lockstep
