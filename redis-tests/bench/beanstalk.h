// beanstalkd's replies: lines, of which one is followed by as many bytes as it says.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "client.h"

// Each comes as a status that is the line. A job's body is passed over.
class BeanstalkReplies final : public Replies {
 public:
  BeanstalkReplies() { reply_.type = REDIS_REPLY_STATUS; }

  void Feed(const char* bytes, size_t size) override {
    buffer_.erase(0, at_);
    at_ = 0;
    buffer_.append(bytes, size);
  }

  const redisReply* Next() override {
    const size_t end = buffer_.find("\r\n", at_);
    if (end == std::string::npos) return nullptr;
    const std::string_view line(buffer_.data() + at_, end - at_);
    const size_t next = end + 2 + BodyBytes(line);
    if (next > buffer_.size()) return nullptr;
    reply_.str = buffer_.data() + at_;
    reply_.len = line.size();
    at_ = next;
    return &reply_;
  }

 private:
  // RESERVED id bytes
  static size_t BodyBytes(std::string_view line) {
    if (!line.starts_with("RESERVED ")) return 0;
    const std::string_view number = line.substr(line.rfind(' ') + 1);
    size_t bytes = 0;
    std::from_chars(number.data(), number.data() + number.size(), bytes);
    return bytes + 2;
  }

  std::string buffer_;
  size_t at_ = 0;
  redisReply reply_ = {};
};
