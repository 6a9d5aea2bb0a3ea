// hiredis as Debian has it (0.14: RESP2), blocking and with its libuv adapter, against three nodes:
//
//     hiredis_client port port port
//
// Prints a line for each scenario: "ok <sentence>" or "FAILED <sentence>: <why>".
#include <hiredis/adapters/libuv.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <uv.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::vector<int> ports;

void Require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

// A reply, freed with its owner.
class Answer {
 public:
  explicit Answer(void* reply) : reply_(static_cast<redisReply*>(reply), freeReplyObject) {
    Require(reply_ != nullptr, "no reply: the connection broke");
  }

  const redisReply* operator->() const { return reply_.get(); }
  bool is_nil() const { return reply_->type == REDIS_REPLY_NIL; }

  long long integer() const {
    Require(reply_->type == REDIS_REPLY_INTEGER, "not an integer: " + text());
    return reply_->integer;
  }

  std::string text() const {
    return reply_->str == nullptr ? "" : std::string(reply_->str, reply_->len);
  }

 private:
  std::unique_ptr<redisReply, void (*)(void*)> reply_;
};

class Client {
 public:
  explicit Client(int port) : context_(redisConnect("127.0.0.1", port), redisFree) {
    Require(context_ != nullptr && context_->err == 0, "cannot connect");
  }

  template <class... Arguments>
  Answer Do(const char* format, Arguments... arguments) {
    return Answer(redisCommand(context_.get(), format, arguments...));
  }

  redisContext* get() { return context_.get(); }

 private:
  std::unique_ptr<redisContext, void (*)(redisContext*)> context_;
};

void LocksWorkThroughEveryNode() {
  Client one(ports[0]), two(ports[1]), three(ports[2]);
  const long long token = one.Do("LOCK.ACQUIRE hi:a alice TTL 600000").integer();
  Require(token > 0, "no token");
  Require(two.Do("LOCK.ACQUIRE hi:a bob").is_nil(), "bob did not get nil");
  Require(three.Do("LOCK.CHECK hi:a %lld", token).integer() == 1, "the token does not hold");
  Require(three.Do("LOCK.RELEASE hi:a alice TOKEN %lld", token).integer() == 1, "not released");
}

void BinaryNamesAreUnharmed() {
  Client client(ports[1]);
  const std::string name("\0\r\n\xff", 4);
  client.Do("LOCK.ACQUIRE %b alice TTL 600000", name.data(), name.size()).integer();
  const Answer info = client.Do("LOCK.INFO %b", name.data(), name.size());
  Require(info->type == REDIS_REPLY_ARRAY && info->elements >= 2, "LOCK.INFO is no record");
  Require(std::string(info->element[1]->str, info->element[1]->len) == name, "another name");
}

void NoReplyIsNestedDeeperThanItReads() {
  Client client(ports[0]);
  client.Do("LOCK.ACQUIRE hi:deep alice TTL 600000");
  for (const char* command : {"COMMAND", "COMMAND DOCS", "COMMAND INFO lock.acquire",
                              "CLUSTER STATUS", "CLUSTER SHARDS", "CLUSTER SLOTS",
                              "LOCK.INFO hi:deep", "LOCK.OWNER alice", "LATENCY HISTOGRAM",
                              "ACL GETUSER default", "MEMORY STATS", "SLOWLOG GET"}) {
    const Answer answer = client.Do(command);
    Require(answer->type == REDIS_REPLY_ARRAY, std::string(command) + ": " + answer.text());
  }
}

void PipelinesAnswerInOrder() {
  Client client(ports[2]);
  constexpr int kCommands = 5000;
  for (int i = 0; i < kCommands; ++i) {
    redisAppendCommand(client.get(), i % 2 == 0 ? "ECHO %d" : "LOCK.CHECK %d 1", i);
  }
  for (int i = 0; i < kCommands; ++i) {
    void* reply = nullptr;
    Require(redisGetReply(client.get(), &reply) == REDIS_OK, "the pipeline broke");
    const Answer answer(reply);
    const bool right = i % 2 == 0 ? answer.text() == std::to_string(i) : answer.integer() == 0;
    Require(right, "answer " + std::to_string(i) + " is another's");
  }
}

void TransactionsAnswerAllAtOnce() {
  Client client(ports[0]);
  Require(client.Do("MULTI").text() == "OK", "no MULTI");
  Require(client.Do("LOCK.ACQUIRE hi:m alice TTL 600000").text() == "QUEUED", "not queued");
  Require(client.Do("LOCK.ACQUIRE hi:m bob BLOCK 0").text() == "QUEUED", "not queued");
  const Answer answers = client.Do("EXEC");
  Require(answers->elements == 2 && answers->element[0]->type == REDIS_REPLY_INTEGER &&
              answers->element[1]->type == REDIS_REPLY_NIL,
          "EXEC answers something else");
}

// Asynchronous: one loop, a connection to each node, everything in callbacks ----------------------

struct Async {
  uv_loop_t loop;
  redisAsyncContext* nodes[3] = {};
  int connected = 0;
  bool granted_event = false;
  long long bobs_token = 0;
  std::string trouble;

  Async() {
    uv_loop_init(&loop);
    for (int i = 0; i < 3; ++i) {
      nodes[i] = redisAsyncConnect("127.0.0.1", ports[static_cast<size_t>(i)]);
      nodes[i]->data = this;
      redisLibuvAttach(nodes[i], &loop);
      redisAsyncSetConnectCallback(nodes[i], [](const redisAsyncContext* c, int status) {
        if (status == REDIS_OK) ++static_cast<Async*>(c->data)->connected;
      });
    }
  }

  ~Async() {
    // Not redisAsyncDisconnect: that waits for all replies, and a failed scenario may have none.
    for (redisAsyncContext* node : nodes) redisAsyncFree(node);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  }

  // The timer asks again, since a fact may come true at a node and tell nobody here; and it ends
  // the wait for one that never does.
  void RunUntil(const std::function<bool()>& fact, const char* what) {
    constexpr uint64_t kAskEveryMs = 10;
    constexpr int kAsksMax = 1000;
    uv_timer_t timer;
    int asks = 0;
    timer.data = &asks;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, [](uv_timer_t* t) { ++*static_cast<int*>(t->data); }, kAskEveryMs,
                   kAskEveryMs);
    while (!fact() && asks < kAsksMax) uv_run(&loop, UV_RUN_ONCE);
    uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(&loop, UV_RUN_NOWAIT);
    Require(asks < kAsksMax, std::string("not within 10 s: ") + what);
  }
};

void AsyncWaitsAreGrantedFromAnotherNode() {
  Async async;
  const auto on_event = [](redisAsyncContext* c, void* raw, void*) {
    const auto* reply = static_cast<redisReply*>(raw);
    if (reply == nullptr || reply->elements < 3 || reply->element[2]->str == nullptr) return;
    const std::string payload(reply->element[2]->str, reply->element[2]->len);
    if (payload.find("granted") != std::string::npos) {
      static_cast<Async*>(c->data)->granted_event = true;
    }
  };
  const auto on_bob = [](redisAsyncContext* c, void* raw, void*) {
    const auto* reply = static_cast<redisReply*>(raw);
    if (reply != nullptr && reply->type == REDIS_REPLY_INTEGER) {
      static_cast<Async*>(c->data)->bobs_token = reply->integer;
    }
  };
  async.RunUntil([&] { return async.connected == 3; }, "three connections");
  redisAsyncCommand(async.nodes[2], on_event, nullptr, "SUBSCRIBE __lock__:hi:async");

  Client other(ports[0]);
  other.Do("LOCK.ACQUIRE hi:async alice TTL 600000");
  redisAsyncCommand(async.nodes[1], on_bob, nullptr,
                    "LOCK.ACQUIRE hi:async bob TTL 600000 BLOCK 0");
  async.RunUntil(
      [&] {
        const Answer info = other.Do("LOCK.INFO hi:async");
        return info->element[11]->elements == 1;  // name state mode limit holders waiters
      },
      "bob waits");
  Require(async.bobs_token == 0, "bob has it too early");
  other.Do("LOCK.RELEASE hi:async alice");
  async.RunUntil([&] { return async.bobs_token > 0; }, "bob's token");
  async.RunUntil([&] { return async.granted_event; }, "the event");
}

void AsyncKeepsManyCommandsInFlight() {
  Async async;
  static int answered;
  answered = 0;
  const auto on_token = [](redisAsyncContext*, void* raw, void*) {
    const auto* reply = static_cast<redisReply*>(raw);
    if (reply != nullptr && reply->type == REDIS_REPLY_INTEGER) ++answered;
  };
  for (int i = 0; i < 600; ++i) {
    redisAsyncCommand(async.nodes[i % 3], on_token, nullptr, "LOCK.ACQUIRE hi:n:%d me TTL 600000",
                      i);
  }
  async.RunUntil([&] { return answered == 600; }, "600 tokens");
}

bool Run(const char* sentence, void (*scenario)()) {
  try {
    scenario();
    std::printf("ok %s\n", sentence);
    return true;
  } catch (const std::exception& error) {
    std::printf("FAILED %s: %s\n", sentence, error.what());
    return false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // What has passed is told though a later one crashes.
  for (int i = 1; i < argc; ++i) ports.push_back(std::atoi(argv[i]));
  if (ports.size() != 3) return 2;
  bool ok = Run("locks work through every node", LocksWorkThroughEveryNode);
  ok &= Run("binary names are unharmed", BinaryNamesAreUnharmed);
  ok &= Run("no reply is nested deeper than it reads", NoReplyIsNestedDeeperThanItReads);
  ok &= Run("pipelines answer in order", PipelinesAnswerInOrder);
  ok &= Run("transactions answer all at once", TransactionsAnswerAllAtOnce);
  ok &= Run("async waits are granted from another node", AsyncWaitsAreGrantedFromAnotherNode);
  ok &= Run("async keeps many commands in flight", AsyncKeepsManyCommandsInFlight);
  return ok ? 0 : 1;
}
