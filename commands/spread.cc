#include "commands/spread.h"

#include "commands/op_codec.h"
#include "src/base/hash.h"

namespace lockstep {
namespace {

// Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014: of n + 1 places the
// last gets its share from the others, and nothing else moves. Their fraction of two 31-bit numbers
// in integers: no node may round it otherwise.
uint32_t JumpHash(uint64_t key, uint32_t places) {
  uint64_t place = 0, next = 0;
  while (next < places) {
    place = next;
    key = key * 2862933555777941757ULL + 1;
    next = ((place + 1) << 31) / ((key >> 33) + 1);
  }
  return static_cast<uint32_t>(place);
}

}  // namespace

void PutOptions(const QueueOptions& options, Writer* out) {
  out->Varint(AllQueueOptions().size());
  for (const QueueOption& option : AllQueueOptions()) out->Signed(options.*option.field);
}

QueueOptions GetOptions(Reader* in) {
  QueueOptions options;
  if (in->Varint() != AllQueueOptions().size()) in->Fail();
  for (const QueueOption& option : AllQueueOptions()) {
    options.*option.field = ReadBetween(in, option.low, option.high);
  }
  return options;
}

Bytes Spread::Encode() const {
  Bytes out;
  Writer writer(&out);
  writer.String(queue);
  writer.Varint(version);
  writer.Varint(before);
  PutOptions(options, &writer);
  writer.Bool(stops_in);
  writer.Bool(stops_out);
  writer.Bool(made);
  return out;
}

std::optional<Spread> DecodeSpread(BytesView in) {
  Reader reader(in);
  Spread spread;
  spread.queue = Bytes(ReadName(&reader));
  spread.version = reader.Varint();
  spread.before = ReadUpTo(&reader, static_cast<uint32_t>(kPartitionsMax));
  spread.options = GetOptions(&reader);
  spread.stops_in = reader.Bool();
  spread.stops_out = reader.Bool();
  spread.made = reader.Bool();
  const bool sound = reader.done() && spread.version > 0 &&
                     spread.version <= Reader::kCountMax && spread.before > 0 &&
                     spread.before <= spread.partitions();
  return sound ? std::optional(std::move(spread)) : std::nullopt;
}

uint32_t PlaceOfGroup(BytesView group, uint32_t partitions) {
  return JumpHash(Hash64(group), partitions);
}

std::optional<uint32_t> PlaceOf(const PushOp& op, uint32_t partitions) {
  if (!op.group.empty()) return PlaceOfGroup(op.group, partitions);
  if (op.id.empty()) return std::nullopt;
  return JumpHash(Hash64(op.id, 1), partitions);
}

Spreads::Known* Spreads::Learn(BytesView encoded) {
  std::optional<Spread> spread = DecodeSpread(encoded);
  if (!spread) return nullptr;
  Known* known = Find(spread->queue);
  if (known != nullptr && spread->version < known->spread.version) return nullptr;
  if (known != nullptr && spread->version == known->spread.version) return known;
  if (known_.size() >= kKnownMax) known_.clear();
  ++epoch_;
  Known& learned = known_[spread->queue];
  // What was settled stays so while there are as many.
  const bool grew = learned.spread.options.partitions != spread->options.partitions;
  if (grew) learned.settled.assign(spread->partitions(), false);
  learned.told.assign(spread->partitions(), false);
  learned.told[0] = true;  // It comes from home.
  learned.spread = *std::move(spread);
  return &learned;
}

void Spreads::Settle(Known* known, uint32_t partition) {
  if (partition >= known->settled.size() || known->settled[partition]) return;
  known->settled[partition] = true;
  ++epoch_;
}

}  // namespace lockstep
