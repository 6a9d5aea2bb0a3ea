// How much is audited (cluster/mesi/audit.cc): twenty lines a second at most, of shards whose lines
// clients have used since the last question. A node that is idle asks nothing.
#include "src/cache_shard.h"

namespace lockstep {
namespace {

constexpr int64_t kAuditEveryUs = 200 * kUsPerMs;
constexpr size_t kAuditsATime = 4;

}  // namespace

void Cache::Audit(MonoTime now) {
  if (now < next_audit_) return;
  next_audit_ = now + kAuditEveryUs;
  now_ = now;
  size_t asked = 0;
  for (size_t i = 0; i < shards_.size() && asked < kAuditsATime; ++i) {
    Shard& shard = *shards_[audit_shard_++ % shards_.size()];
    if (shard.home == nullptr && shard.agent.Audit(now)) ++asked;
  }
  touched_ |= asked > 0;
}

}  // namespace lockstep
