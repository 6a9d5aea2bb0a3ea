// A command that asks several groups, at once or one after another, and makes one answer of theirs.
//
// It only decides; whoever runs it asks, and tells it what was answered. Its parts are numbered in
// the order in which it gave them out, from 0.
#pragma once

#include <optional>
#include <vector>

#include "src/base/ids.h"
#include "src/resp/reply.h"

namespace lockstep {

class Task {
 public:
  struct Part {
    GroupId group;
    bool read = false;
    Bytes op;
    bool may_wait = false;    // As in Propose,
    bool hands_over = false;  // as this.
    bool unheard = false;     // Nobody needs its answer: it has no number.
  };
  struct Next {
    bool give_up = false;  // First, whatever was asked before and is not answered yet.
    std::vector<Part> ask;
  };

  virtual ~Task() = default;
  // An answer: it is done, and what is not answered yet is to be given up; of what is asked with it
  // only what is unheard is. What a part has handed over whose answer this is goes to the client
  // with it.
  virtual std::optional<Reply> Begin(Next* next) = 0;
  virtual std::optional<Reply> OnReply(size_t part, Reply reply, Next* next) = 0;
  virtual bool may_wait() const { return false; }    // As a whole, as in Propose,
  virtual bool hands_over() const { return false; }  // as this,
  virtual bool binds() const { return false; }       // and this.
  // It is to wait no more (CLIENT UNBLOCK); who waits for it is told so by its parts, or by its
  // next step.
  virtual void StopWaiting(bool /*with_error*/) {}
};

}  // namespace lockstep
