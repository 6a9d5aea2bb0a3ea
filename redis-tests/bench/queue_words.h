// What is done with a queue, in the words of each server, and what its answers must say.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "beanstalk.h"

[[noreturn]] inline void FailBy(const redisReply& reply) {
  Fail("an answer that was not to come: " + Text(reply));
}

inline const redisReply& At(const redisReply& reply, size_t i) {
  if (reply.type != REDIS_REPLY_ARRAY || i >= reply.elements) FailBy(reply);
  return *reply.element[i];
}

class QueueWords {
 public:
  virtual ~QueueWords() = default;
  virtual std::unique_ptr<Replies> NewReplies() const { return std::make_unique<RedisReplies>(); }

  virtual void AppendPush(std::string_view queue, std::string_view body,
                          std::string* out) const = 0;
  virtual void AppendTake(std::string_view queue, std::string* out) const = 0;
  virtual void AppendAck(std::string_view queue, std::string_view receipt,
                         std::string* out) const = 0;

  virtual void RequirePushed(const redisReply& reply) const = 0;
  virtual std::string ReceiptIn(const redisReply& reply) const = 0;
  virtual void RequireAcknowledged(const redisReply& reply) const { RequireSuccess(reply); }
};

class LockstepWords final : public QueueWords {
 public:
  void AppendPush(std::string_view queue, std::string_view body, std::string* out) const override {
    AppendCommand({"DQ.PUSH", queue, body}, out);
  }
  void AppendTake(std::string_view queue, std::string* out) const override {
    AppendCommand({"DQ.POP", queue, "COUNT", "1"}, out);
  }
  void AppendAck(std::string_view queue, std::string_view receipt,
                 std::string* out) const override {
    AppendCommand({"DQ.ACK", queue, receipt}, out);
  }
  // Both in one request, which only this server has.
  void AppendAckAndTake(std::string_view queue, std::string_view receipt, std::string* out) const {
    AppendCommand({"DQ.POP", queue, "COUNT", "1", "ACK", "1", receipt}, out);
  }

  void RequirePushed(const redisReply& reply) const override {
    if (reply.type != REDIS_REPLY_STRING) FailBy(reply);
  }
  // One row: queue, receipt, body, attempt.
  std::string ReceiptIn(const redisReply& reply) const override {
    return Text(At(At(reply, 0), 1));
  }
};

// A stream with a consumer group g.
class RedisWords final : public QueueWords {
 public:
  void AppendPush(std::string_view queue, std::string_view body, std::string* out) const override {
    AppendCommand({"XADD", queue, "*", "body", body}, out);
  }
  void AppendTake(std::string_view queue, std::string* out) const override {
    AppendCommand({"XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", queue, ">"}, out);
  }
  void AppendAck(std::string_view queue, std::string_view receipt,
                 std::string* out) const override {
    AppendCommand({"XACK", queue, "g", receipt}, out);
  }

  void RequirePushed(const redisReply& reply) const override {
    if (reply.type != REDIS_REPLY_STRING) FailBy(reply);
  }
  // One stream: name, one entry: id, fields.
  std::string ReceiptIn(const redisReply& reply) const override {
    return Text(At(At(At(At(reply, 0), 1), 0), 0));
  }
};

// One tube, whatever the queue's name.
class BeanstalkWords final : public QueueWords {
 public:
  std::unique_ptr<Replies> NewReplies() const override {
    return std::make_unique<BeanstalkReplies>();
  }

  void AppendPush(std::string_view, std::string_view body, std::string* out) const override {
    *out += "put 0 0 600 " + std::to_string(body.size()) + "\r\n";
    *out += body;
    *out += "\r\n";
  }
  void AppendTake(std::string_view, std::string* out) const override { *out += "reserve\r\n"; }
  void AppendAck(std::string_view, std::string_view receipt, std::string* out) const override {
    *out += "delete ";
    *out += receipt;
    *out += "\r\n";
  }

  void RequirePushed(const redisReply& reply) const override { Require(reply, "INSERTED "); }
  // RESERVED id bytes
  std::string ReceiptIn(const redisReply& reply) const override {
    Require(reply, "RESERVED ");
    const std::string line = Text(reply);
    const size_t id = line.find(' ') + 1;
    return line.substr(id, line.find(' ', id) - id);
  }
  void RequireAcknowledged(const redisReply& reply) const override { Require(reply, "DELETED"); }

 private:
  static void Require(const redisReply& reply, std::string_view beginning) {
    if (!std::string_view(reply.str, reply.len).starts_with(beginning)) FailBy(reply);
  }
};

inline std::unique_ptr<QueueWords> WordsOf(const std::string& server) {
  if (server == "lockstep") return std::make_unique<LockstepWords>();
  if (server == "redis") return std::make_unique<RedisWords>();
  if (server == "beanstalk") return std::make_unique<BeanstalkWords>();
  Fail("no such server: " + server);
}
