// The LOCK.* commands: what each spelling asks of the table, what is said of bad arguments, and
// what COMMAND tells clients about them.
#include <gtest/gtest.h>

#include "commands/command_keys.h"
#include "commands/lock_ops.h"
#include "tests/fake_host.h"

namespace lockstep {
namespace {

class LockCommandsTest : public testing::Test {
 protected:
  using Words = std::vector<Bytes>;

  // What the handler decides.
  Action Handle(const Words& words, bool in_exec = false) {
    const std::vector<BytesView> argv(words.begin(), words.end());
    const FoundCommand found = CommandTable::Get().Find(argv);
    CHECK(found.command != nullptr && ArityFits(found.leaf(), argv.size()));
    Context context{client, host, in_exec};
    Args args(argv);
    return found.leaf().handler(context, args);
  }
  // The operation or query that goes to group `locks`.
  template <class Op>
  Op OpOf(const Words& words, bool in_exec = false) {
    const Action action = Handle(words, in_exec);
    const auto* propose = std::get_if<Propose>(&action);
    CHECK(propose != nullptr && propose->group == kLocksGroup);
    may_wait = propose->may_wait;
    return std::get<Op>(*DecodeLockOp(propose->op));
  }
  template <class QueryType>
  QueryType QueryOf(const Words& words) {
    const Action action = Handle(words);
    const auto* query = std::get_if<Query>(&action);
    CHECK(query != nullptr && query->group == kLocksGroup);
    return std::get<QueryType>(*DecodeLockQuery(query->query));
  }
  Bytes ErrorOf(const Words& words) {
    const Action action = Handle(words);
    const auto* reply = std::get_if<Reply>(&action);
    return reply != nullptr && reply->is_error() ? reply->text : Bytes("(no error)");
  }

  FakeHost host;
  Client& client = host.Connect(42);
  bool may_wait = false;
};

TEST_F(LockCommandsTest, AcquireHasItsDefaults) {
  AcquireOp expected;
  expected.names = {"jobs/7"};
  expected.owner = "alice";
  expected.ttl_ms = 30'000;  // lock-default-ttl.
  EXPECT_EQ(OpOf<AcquireOp>({"LOCK.ACQUIRE", "jobs/7", "alice"}), expected);
  EXPECT_FALSE(may_wait);
}

TEST_F(LockCommandsTest, AcquireTakesItsOptionsInAnyOrderAndCase) {
  AcquireOp expected;
  expected.names = {"x"};
  expected.owner = "alice";
  expected.mode = LockMode::kShared;
  expected.ttl_ms = 500;
  expected.wait_ms = 0;
  expected.limit = 3;
  expected.meta = "a note";
  expected.bind = ClientId{42};
  EXPECT_EQ(OpOf<AcquireOp>({"lock.acquire", "x", "alice", "SHARED", "TTL", "500", "BLOCK", "0",
                             "LIMIT", "3", "META", "a note", "BIND"}),
            expected);
  EXPECT_TRUE(may_wait);
  EXPECT_EQ(OpOf<AcquireOp>({"lock.acquire", "x", "alice", "bind", "meta", "a note", "limit", "3",
                             "block", "0", "ttl", "500", "shared"}),
            expected);
}

TEST_F(LockCommandsTest, InsideATransactionNothingBlocks) {
  EXPECT_EQ(OpOf<AcquireOp>({"LOCK.ACQUIRE", "x", "a", "BLOCK", "0"}, true).wait_ms, std::nullopt);
  EXPECT_FALSE(may_wait);
  OpOf<AcquireOp>({"LOCK.MACQUIRE", "1", "x", "a", "BLOCK", "100"}, true);
  EXPECT_FALSE(may_wait);
}

TEST_F(LockCommandsTest, WordsAfterMetaAreItsTextEvenIfTheyLookLikeOptions) {
  const auto op = OpOf<AcquireOp>({"LOCK.ACQUIRE", "x", "a", "META", "BIND"});
  EXPECT_EQ(op.meta, "BIND");
  EXPECT_FALSE(op.bind.has_value());
}

TEST_F(LockCommandsTest, AcquireRefusesBadArgumentsInRedissWords) {
  const auto error = [this](Words options) {
    options.insert(options.begin(), {"LOCK.ACQUIRE", "x", "alice"});
    return ErrorOf(options);
  };
  EXPECT_EQ(error({"TTL", "soon"}), "ERR value is not an integer or out of range");
  EXPECT_EQ(error({"TTL", "0"}), "ERR TTL must be between 1 and 86400000");
  EXPECT_EQ(error({"TTL", "86400001"}), "ERR TTL must be between 1 and 86400000");
  EXPECT_EQ(error({"TTL"}), "ERR syntax error");
  EXPECT_EQ(error({"BLOCK", "-1"}), "ERR timeout is negative");
  EXPECT_EQ(error({"BLOCK", "1.5"}), "ERR timeout is not an integer or out of range");
  EXPECT_EQ(error({"BLOCK", "99999999999999"}), "ERR timeout is out of range");
  EXPECT_EQ(error({"LIMIT", "0", "SHARED"}), "ERR LIMIT must be between 1 and 1000000");
  EXPECT_EQ(error({"LIMIT", "3"}),
            "ERR LIMIT counts holders that share the lock: give SHARED with it");
  EXPECT_EQ(error({"META", Bytes(kMetaBytesMax + 1, 'm')}),
            "ERR META has 4097 bytes, at most 4096 are allowed");
  EXPECT_EQ(error({"META"}), "ERR syntax error");
  EXPECT_EQ(error({"TLT", "5"}), "ERR syntax error near 'TLT' (did you mean TTL?)");
  EXPECT_EQ(error({"SHARED", "EXCLUSIVE"}), "ERR syntax error near 'EXCLUSIVE'");
  EXPECT_EQ(ErrorOf({"LOCK.ACQUIRE", "", "alice"}), "ERR lock name is empty");
  EXPECT_EQ(ErrorOf({"LOCK.ACQUIRE", "x", ""}), "ERR owner is empty");
  EXPECT_EQ(ErrorOf({"LOCK.ACQUIRE", Bytes(1'025, 'x'), "a"}),
            "ERR lock name has 1025 bytes, at most 1024 are allowed");
}

TEST_F(LockCommandsTest, MacquireTakesManyNamesAndAnOwner) {
  const auto op = OpOf<AcquireOp>(
      {"LOCK.MACQUIRE", "3", "a", "b", "c", "alice", "SHARED", "TTL", "9", "BLOCK", "5", "BIND"});
  EXPECT_EQ(op.names, (std::vector<Bytes>{"a", "b", "c"}));
  EXPECT_EQ(op.owner, "alice");
  EXPECT_EQ(op.mode, LockMode::kShared);
  EXPECT_EQ(op.ttl_ms, 9);
  EXPECT_EQ(op.wait_ms, 5);
  EXPECT_TRUE(op.bind.has_value());
}

TEST_F(LockCommandsTest, MacquireRefusesBadArguments) {
  EXPECT_EQ(ErrorOf({"LOCK.MACQUIRE", "x", "a", "alice"}),
            "ERR value is not an integer or out of range");
  EXPECT_EQ(ErrorOf({"LOCK.MACQUIRE", "0", "a", "alice"}),
            "ERR numlocks must be between 1 and 1024");
  EXPECT_EQ(ErrorOf({"LOCK.MACQUIRE", "2", "a", "alice"}),
            "ERR Number of keys can't be greater than number of args");
  EXPECT_EQ(ErrorOf({"LOCK.MACQUIRE", "2", "a", "a", "alice"}), "ERR lock 'a' is named twice");
  EXPECT_EQ(ErrorOf({"LOCK.MACQUIRE", "2", "a", "", "alice"}), "ERR lock name is empty");
  EXPECT_EQ(ErrorOf({"LOCK.MACQUIRE", "1", "a", "alice", "SHARED", "LIMIT", "3"}),
            "ERR syntax error near 'LIMIT'");  // Not of several locks.
}

TEST_F(LockCommandsTest, RenewReleaseAndRevokeSayWhatTheyAreTold) {
  EXPECT_EQ(OpOf<RenewOp>({"LOCK.RENEW", "x", "a"}), (RenewOp{"x", "a", 30'000, false}));
  EXPECT_EQ(OpOf<RenewOp>({"LOCK.RENEW", "x", "a", "ALL", "TTL", "7"}),
            (RenewOp{"x", "a", 7, true}));
  EXPECT_EQ(OpOf<ReleaseOp>({"LOCK.RELEASE", "x", "a"}),
            (ReleaseOp{"x", "a", std::nullopt, false}));
  EXPECT_EQ(OpOf<ReleaseOp>({"LOCK.RELEASE", "x", "a", "TOKEN", "81", "ALL"}),
            (ReleaseOp{"x", "a", 81, true}));
  EXPECT_EQ(OpOf<RevokeOp>({"LOCK.REVOKE", "x"}), (RevokeOp{"x", std::nullopt}));
  EXPECT_EQ(OpOf<RevokeOp>({"LOCK.REVOKE", "x", "OWNER", "a"}), (RevokeOp{"x", "a"}));
  EXPECT_EQ(ErrorOf({"LOCK.RENEW", "x", "a", "TOKEN"}), "ERR syntax error near 'TOKEN'");
  EXPECT_EQ(ErrorOf({"LOCK.RELEASE", "x", "a", "TOKEN", "-1"}),
            "ERR TOKEN must be between 0 and 9223372036854775807");
  EXPECT_EQ(ErrorOf({"LOCK.RELEASE", "x", "a", "TOKEN"}), "ERR syntax error");
  EXPECT_EQ(ErrorOf({"LOCK.REVOKE", "x", "a"}), "ERR syntax error near 'a'");
}

TEST_F(LockCommandsTest, QueriesSayWhatTheyAreTold) {
  EXPECT_EQ(QueryOf<CheckQuery>({"LOCK.CHECK", "x", "81"}), (CheckQuery{"x", 81}));
  EXPECT_EQ(QueryOf<InfoQuery>({"LOCK.INFO", "x"}), InfoQuery{"x"});
  EXPECT_EQ(QueryOf<OwnerQuery>({"LOCK.OWNER", "a"}), OwnerQuery{"a"});
  EXPECT_EQ(QueryOf<ListQuery>({"LOCK.LIST"}), (ListQuery{0, "*", 10}));
  EXPECT_EQ(QueryOf<ListQuery>({"LOCK.LIST", "COUNT", "5", "MATCH", "", "CURSOR", "77"}),
            (ListQuery{77, "", 5}));
  EXPECT_EQ(QueryOf<ListQuery>({"LOCK.LIST", "COUNT", "1000000"}), (ListQuery{0, "*", 10'000}));
  QueryOf<GraphQuery>({"LOCK.GRAPH"});
  EXPECT_EQ(QueryOf<DeadlocksQuery>({"LOCK.DEADLOCKS", "COUNT", "3"}), DeadlocksQuery{3});
  EXPECT_EQ(ErrorOf({"LOCK.CHECK", "x", "y"}), "ERR value is not an integer or out of range");
  EXPECT_EQ(ErrorOf({"LOCK.LIST", "CURSOR", "-1"}), "ERR invalid cursor");
  EXPECT_EQ(ErrorOf({"LOCK.LIST", "COUNT", "0"}), "ERR COUNT must be between 1 and 1000000000");
  EXPECT_EQ(ErrorOf({"LOCK.LIST", "MATCH", Bytes(1'025, '*')}),
            "ERR pattern has 1025 bytes, at most 1024 are allowed");
  EXPECT_EQ(ErrorOf({"LOCK.DEADLOCKS", "COUNTT", "3"}),
            "ERR syntax error near 'COUNTT' (did you mean COUNT?)");
}

TEST_F(LockCommandsTest, FromCommandToAnswerAndBack) {
  EXPECT_EQ(host.Run(client, {"LOCK.ACQUIRE", "x", "alice"}), Reply::Integer(1));
  EXPECT_EQ(host.Run(client, {"LOCK.ACQUIRE", "x", "bob"}), Reply::Nil());
  EXPECT_EQ(host.Run(client, {"LOCK.ACQUIRE", "x", "bob", "BLOCK", "0"}), Reply::Nothing());
  EXPECT_EQ(host.Run(client, {"LOCK.RELEASE", "x", "alice"}), Reply::Integer(1));
  EXPECT_EQ(host.Run(client, {"LOCK.CHECK", "x", "4"}), Reply::Integer(1));
  EXPECT_EQ(host.Run(client, {"LOCK.RENEW", "x", "bob"}), Reply::Integer(1));
  EXPECT_EQ(host.Run(client, {"LOCK.REVOKE", "x"}), Reply::Integer(1));
  EXPECT_EQ(host.Run(client, {"LOCK.ACQUIRE"}).text,
            "ERR wrong number of arguments for 'lock.acquire' command");
}

TEST_F(LockCommandsTest, AMistypedOptionIsRefusedWithTheNearestThereIs) {
  const auto refusal = [&](const std::vector<Bytes>& words) {
    return host.Run(client, words).text;
  };
  EXPECT_EQ(refusal({"LOCK.RELEASE", "x", "a", "TOKN", "1"}),
            "ERR syntax error near 'TOKN' (did you mean TOKEN?)");
  EXPECT_EQ(refusal({"LOCK.LIST", "CONT", "1"}),
            "ERR syntax error near 'CONT' (did you mean COUNT?)");
  EXPECT_EQ(refusal({"LOCK.ACQUIRE", "x", "a", "SHARED", "EXCLUSIVE"}).substr(0, 16),
            "ERR syntax error");
  EXPECT_EQ(host.Run(client, {"LOCK.ACQUIRE", "x", "a", "exclusive"}), Reply::Integer(1));
}

TEST_F(LockCommandsTest, EveryOperationSurvivesItsEncoding) {
  const RequestId target{NodeId{3}, 9, 1'000'000};
  const BatchOp batch{{{false, RevokeOp{"x", std::nullopt}.Encode()},
                       {true, CheckQuery{"x", 4}.Encode()}}};
  const auto decoded = [](const auto& op) {
    return std::get<std::decay_t<decltype(op)>>(*DecodeLockOp(op.Encode()));
  };
  const CancelOp cancel{target, CancelOp::Why::kGone};
  const HangupOp hangup{NodeId{3}, 9, ClientId{77}};
  EXPECT_EQ(decoded(cancel), cancel);
  EXPECT_EQ(decoded(hangup), hangup);
  EXPECT_EQ(decoded(batch), batch);
  const Bytes odd("\0\r\n\xff", 4);
  const AcquireOp acquire{{odd, "b"}, odd, LockMode::kShared, 1, 0, 0, odd, ClientId{0}};
  EXPECT_EQ(decoded(acquire), acquire);
}

TEST_F(LockCommandsTest, AnOperationOutOfItsBoundsIsNotDecoded) {
  const AcquireOp good{{"x"}, "a", LockMode::kShared, 1, 5, 2, "", std::nullopt};
  EXPECT_TRUE(DecodeLockOp(good.Encode()).has_value());
  std::vector<AcquireOp> bad(10, good);
  bad[0].names = {};
  bad[1].names = {"x", "x"};
  bad[2].names = {Bytes(kNameBytesMax + 1, 'x')};
  bad[3].owner = "";
  bad[4].ttl_ms = 0;
  bad[5].ttl_ms = kTtlMsMax + 1;
  bad[6].wait_ms = -1;
  bad[7].mode = LockMode::kExclusive;  // With a limit.
  bad[8].limit = kLockLimitMax + 1;
  bad[9].meta = Bytes(kMetaBytesMax + 1, 'm');
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_FALSE(DecodeLockOp(bad[i].Encode()).has_value()) << i;
  }
  EXPECT_FALSE(DecodeLockOp("").has_value());
  EXPECT_FALSE(DecodeLockOp(CheckQuery{"x", 1}.Encode()).has_value());
  EXPECT_FALSE(DecodeLockQuery(good.Encode()).has_value());
}

// ---- What COMMAND tells. ----

TEST_F(LockCommandsTest, KeysAreWhereClusterClientsLookForThem) {
  const auto keys = [](const Words& words) {
    const std::vector<BytesView> argv(words.begin(), words.end());
    Bytes found;
    const auto keys_at = KeysOf(CommandTable::Get().Find(argv).leaf(), argv);
    for (const KeyAt& key : keys_at.value()) {
      found += words[key.position] + " ";
    }
    return found;
  };
  EXPECT_EQ(keys({"LOCK.ACQUIRE", "x", "alice", "TTL", "5"}), "x ");
  EXPECT_EQ(keys({"LOCK.MACQUIRE", "2", "a", "b", "alice"}), "a b ");
  EXPECT_EQ(keys({"LOCK.CHECK", "x", "5"}), "x ");
  EXPECT_EQ(keys({"LOCK.OWNER", "alice"}), "");
  EXPECT_EQ(keys({"LOCK.LIST"}), "");
}

TEST_F(LockCommandsTest, EveryRowIsComplete) {
  EXPECT_EQ(LockCommands().size(), 11U);
  for (const CommandSpec& row : LockCommands()) {
    EXPECT_STREQ(row.group, "lock") << row.name;
    EXPECT_GT(BytesView(row.summary).size(), 20U) << row.name;
    EXPECT_EQ(BytesView(row.complexity).substr(0, 2), "O(") << row.name;
    EXPECT_NE(row.handler, nullptr) << row.name;
    EXPECT_NE(row.categories & kCatLock, 0U) << row.name;
    const bool writes = (row.flags & kWrite) != 0;
    EXPECT_NE(writes, (row.flags & kReadonly) != 0) << row.name;
    EXPECT_EQ(writes, (row.categories & kCatWrite) != 0) << row.name;
    EXPECT_EQ((row.flags & kFast) != 0, (row.categories & kCatFast) != 0) << row.name;
  }
}

}  // namespace
}  // namespace lockstep
