// The rows: each says enough of itself, and what it says is what happens.
#include <gtest/gtest.h>

#include "commands/command_docs.h"
#include "commands/command_keys.h"
#include "tests/fake_host.h"

namespace lockstep {
namespace {

const CommandTable& Table() {
  return CommandTable::Get();
}

FoundCommand Find(const std::vector<Bytes>& words) {
  const std::vector<BytesView> argv(words.begin(), words.end());
  return Table().Find(argv);
}

std::optional<Reply> Refusal(const std::vector<Bytes>& words) {
  const std::vector<BytesView> argv(words.begin(), words.end());
  return RefuseBeforeRun(Table().Find(argv), argv);
}

// Every command and subcommand.
std::vector<const CommandSpec*> Leaves() {
  std::vector<const CommandSpec*> leaves;
  for (const CommandSpec* spec : Table().all()) {
    leaves.push_back(spec);
    for (const CommandSpec& sub : spec->subcommands) leaves.push_back(&sub);
  }
  return leaves;
}

// A call of that leaf with `words` words in all.
std::vector<Bytes> Call(const CommandSpec& leaf, size_t words) {
  const Bytes name = Table().LeafName(leaf);
  std::vector<Bytes> call;
  const size_t bar = name.find('|');
  call.push_back(name.substr(0, bar));
  if (bar != Bytes::npos) call.push_back(name.substr(bar + 1));
  while (call.size() < words) call.emplace_back("1");
  return call;
}

size_t OwnWords(const CommandSpec& leaf) {
  return Table().LeafName(leaf).find('|') == Bytes::npos ? 1 : 2;
}

void CheckArguments(std::span<const Argument> arguments, const CommandSpec& leaf) {
  for (const Argument& argument : arguments) {
    ASSERT_NE(argument.name, nullptr);
    EXPECT_FALSE(BytesView(argument.name).empty()) << leaf.name;
    const bool is_container =
        argument.type == Argument::Type::kOneOf || argument.type == Argument::Type::kBlock;
    EXPECT_EQ(is_container, !argument.children.empty()) << leaf.name << ' ' << argument.name;
    EXPECT_EQ(argument.type == Argument::Type::kKey, argument.key_spec >= 0)
        << leaf.name << ' ' << argument.name;
    EXPECT_LT(argument.key_spec, static_cast<int>(leaf.keys.size())) << leaf.name;
    if (argument.type == Argument::Type::kPureToken) {
      EXPECT_NE(argument.token, nullptr) << leaf.name << ' ' << argument.name;
    }
    CheckArguments(argument.children, leaf);
  }
}

TEST(CommandTableTest, EveryRowSaysWhatItIs) {
  for (const CommandSpec* leaf : Leaves()) {
    SCOPED_TRACE(Table().LeafName(*leaf));
    EXPECT_FALSE(BytesView(leaf->summary).empty());
    EXPECT_FALSE(BytesView(leaf->since).empty());
    EXPECT_FALSE(BytesView(leaf->group).empty());
    EXPECT_FALSE(BytesView(leaf->complexity).empty());
    EXPECT_EQ(Upper(leaf->name), leaf->name);
    EXPECT_NE(leaf->arity, 0);
  }
}

TEST(CommandTableTest, EveryRowWithArgumentsDescribesThem) {
  for (const CommandSpec* leaf : Leaves()) {
    SCOPED_TRACE(Table().LeafName(*leaf));
    const auto own = static_cast<int>(OwnWords(*leaf));
    // A fixed arity of just its own name has none; QUIT takes what comes and ignores it.
    if (leaf->arity == own || !leaf->subcommands.empty()) {
      EXPECT_TRUE(leaf->arguments.empty());
    } else if (BytesView(leaf->name) != "QUIT") {
      EXPECT_FALSE(leaf->arguments.empty());
    }
    CheckArguments(leaf->arguments, *leaf);
  }
}

TEST(CommandTableTest, EveryRowRefusesTooFewArgumentsAndAFixedOneTooMany) {
  for (const CommandSpec* leaf : Leaves()) {
    SCOPED_TRACE(Table().LeafName(*leaf));
    const auto needed = static_cast<size_t>(std::abs(leaf->arity));
    const Reply wrong = Reply::Error(
        "ERR", "wrong number of arguments for '" + Table().LeafName(*leaf) + "' command");
    if (needed > OwnWords(*leaf)) {
      EXPECT_EQ(Refusal(Call(*leaf, needed - 1)), wrong);
    }
    if (leaf->arity > 0) {
      EXPECT_EQ(Refusal(Call(*leaf, needed + 1)), wrong);
    }
    if (leaf->subcommands.empty()) {
      EXPECT_EQ(Refusal(Call(*leaf, needed)), std::nullopt);
    }
  }
}

TEST(CommandTableTest, EveryLeafRunsUnlessTheDispatcherRunsItItself) {
  for (const CommandSpec* leaf : Leaves()) {
    const bool transaction = (CategoriesOf(*leaf) & kCatTransaction) != 0;
    const bool container = !leaf->subcommands.empty();
    EXPECT_TRUE(leaf->handler != nullptr || transaction || container) << Table().LeafName(*leaf);
  }
}

TEST(CommandTableTest, KeySpecsPointAtWordsThatTheArityPromises) {
  for (const CommandSpec* leaf : Leaves()) {
    SCOPED_TRACE(Table().LeafName(*leaf));
    for (const KeySpec& key : leaf->keys) {
      EXPECT_GE(key.begin, static_cast<int>(OwnWords(*leaf)));
      EXPECT_GE(key.step, 1);
    }
    const auto needed = static_cast<size_t>(std::abs(leaf->arity));
    if (!HasKeys(*leaf) || leaf->arguments.empty()) continue;
    const std::vector<Bytes> call = Call(*leaf, needed);
    const std::vector<BytesView> argv(call.begin(), call.end());
    const auto keys = KeysOf(*leaf, argv);
    ASSERT_TRUE(keys.has_value());
    EXPECT_FALSE(keys->empty());
    for (const KeyAt& key : *keys) EXPECT_LT(key.position, argv.size());
  }
}

TEST(CommandTableTest, WritesAndReadsAreToldApart) {
  for (const CommandSpec* leaf : Leaves()) {
    EXPECT_FALSE((leaf->flags & kWrite) && (leaf->flags & kReadonly)) << Table().LeafName(*leaf);
  }
}

TEST(CommandTableTest, CommandsAreFoundInAnyCase) {
  EXPECT_STREQ(Find({"pInG"}).leaf().name, "PING");
  EXPECT_STREQ(Find({"cLiEnT", "lIsT"}).leaf().name, "LIST");
  EXPECT_EQ(Find({"nosuch"}).command, nullptr);
  EXPECT_EQ(Find({""}).command, nullptr);
  EXPECT_EQ(Find({"client|list"}).command, nullptr);
  EXPECT_EQ(Find({"zzzzzzzz"}).command, nullptr);
}

TEST(CommandTableTest, FullNamesAreFoundOnlyWhereNamesAreAskedFor) {
  EXPECT_STREQ(Table().FindByName("config|GET").leaf().name, "GET");
  EXPECT_STREQ(Table().FindByName("config").leaf().name, "CONFIG");
  EXPECT_EQ(Table().FindByName("config|nosuch").command, nullptr);
  EXPECT_EQ(Table().FindByName("ping|x").command, nullptr);
  EXPECT_EQ(Table().FindByName("").command, nullptr);
}

TEST(CommandTableTest, EveryLeafHasANumberAndANameOfItsOwn) {
  const auto leaves = Leaves();
  std::set<size_t> numbers;
  std::set<Bytes> names;
  for (const CommandSpec* leaf : leaves) {
    const size_t number = Table().LeafNumber(*leaf);
    EXPECT_LT(number, Table().leaves());
    numbers.insert(number);
    names.insert(Table().LeafName(number));
  }
  EXPECT_EQ(numbers.size(), leaves.size());
  EXPECT_EQ(names.size(), leaves.size());
  EXPECT_EQ(Table().leaves(), leaves.size());
  EXPECT_TRUE(names.contains("client|list"));
}

TEST(CommandTableTest, UnknownCommandsAreRefusedInRedisWords) {
  EXPECT_EQ(Refusal({"FOO", "a", "b"}),
            Reply::Error("ERR", "unknown command 'FOO', with args beginning with: 'a' 'b' "));
  EXPECT_EQ(Refusal({"foo"}),
            Reply::Error("ERR", "unknown command 'foo', with args beginning with: "));
  EXPECT_EQ(Refusal({"client", "foo"}),
            Reply::Error("ERR", "unknown subcommand 'foo'. Try CLIENT HELP."));
  EXPECT_EQ(Refusal({"command", "foo"}),
            Reply::Error("ERR", "unknown subcommand 'foo'. Try COMMAND HELP."));
  EXPECT_EQ(Refusal({"client"}),
            Reply::Error("ERR", "wrong number of arguments for 'client' command"));
}

TEST(CommandTableTest, WhatAClientSentIsShownOnlyInPart) {
  const Reply reply = *Refusal({Bytes(1000, 'c'), Bytes(100, 'a'), Bytes(100, 'b'), "never"});
  EXPECT_EQ(reply.text, "ERR unknown command '" + Bytes(128, 'c') +
                            "', with args beginning with: '" + Bytes(100, 'a') + "' '" +
                            Bytes(25, 'b') + "' ");
}

TEST(CommandTableTest, ScriptingAndReplicationAreNotPretended) {
  for (const char* name : {"EVAL", "FUNCTION", "SCRIPT", "SYNC", "PSYNC", "REPLCONF", "MIGRATE",
                           "RESTORE", "DUMP"}) {
    EXPECT_EQ(Find({name}).command, nullptr) << name;
  }
}

TEST(CommandKeysTest, ARangeMayEndAtTheLastWord) {
  constexpr KeySpec kAll[] = {{.last = -1}};
  const CommandSpec spec{.name = "X", .arity = -2, .keys = kAll};
  const BytesView argv[] = {"x", "a", "b", "c"};
  const auto keys = KeysOf(spec, argv);
  ASSERT_TRUE(keys.has_value());
  ASSERT_EQ(keys->size(), 3u);
  EXPECT_EQ((*keys)[2].position, 3u);
  EXPECT_EQ(LegacyKeyRange(spec).last, -1);
}

TEST(CommandKeysTest, ANumberOfKeysIsBelievedOnlyIfTheyAreThere) {
  constexpr KeySpec kCounted[] = {{.keynum = true}};
  const CommandSpec spec{.name = "X", .arity = -3, .keys = kCounted};
  const auto count = [&spec](BytesView number) {
    const BytesView argv[] = {"x", number, "a", "b", "owner"};
    const auto keys = KeysOf(spec, argv);
    return keys ? static_cast<int>(keys->size()) : -1;
  };
  EXPECT_EQ(count("1"), 1);
  EXPECT_EQ(count("3"), 3);
  EXPECT_EQ(count("4"), -1);
  EXPECT_EQ(count("0"), -1);
  EXPECT_EQ(count("-1"), -1);
  EXPECT_EQ(count("x"), -1);
  EXPECT_EQ(count("9223372036854775807"), -1);
  EXPECT_EQ(LegacyKeyRange(spec).first, 0);
}

TEST(CommandTableTest, CategoriesFollowFromFlags) {
  EXPECT_EQ(CategoriesOf({.name = "X", .flags = kAdmin}), kCatAdmin | kCatDangerous | kCatSlow);
  EXPECT_EQ(CategoriesOf({.name = "X", .flags = kReadonly | kFast}), kCatRead | kCatFast);
  EXPECT_EQ(CategoriesOf({.name = "X", .flags = kWrite | kBlocking, .categories = kCatLock}),
            kCatWrite | kCatBlocking | kCatSlow | kCatLock);
}

}  // namespace
}  // namespace lockstep
