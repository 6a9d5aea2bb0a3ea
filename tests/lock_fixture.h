// What the tests of the lock table have in common: a driver, and short words for its options.
#pragma once

#include <gtest/gtest.h>

#include "tests/lock_driver.h"

namespace lockstep {

using Names = std::vector<Bytes>;

class LockTest : public testing::Test, protected LockDriver {
 protected:
  static Bytes TextOf(const std::optional<Reply>& reply) {
    return reply ? reply->text : Bytes("(none)");
  }
  static int64_t TokenOf(const std::optional<Reply>& reply) {
    EXPECT_TRUE(reply && reply->kind == Reply::Kind::kInteger);
    return reply ? reply->integer : 0;
  }
  int64_t Now() const { return static_cast<int64_t>(at.index.value); }  // As a token.
  // Whether the latest entry granted this.
  bool GrantedNow(const std::optional<Reply>& reply) const {
    return reply == Reply::Integer(Now());
  }
  static Options Shared(uint32_t limit = 0) {
    Options options;
    options.mode = LockMode::kShared;
    options.limit = limit;
    return options;
  }
  static Options Lease(int64_t ttl_ms) {
    Options options;
    options.ttl_ms = ttl_ms;
    return options;
  }
  static Options Bound(uint64_t client) {
    Options options;
    options.bind = ClientId{client};
    return options;
  }
};

}  // namespace lockstep
