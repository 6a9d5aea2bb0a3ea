// The arguments of a command, read from left to right. The first thing that is wrong becomes the
// error; what is read after it is empty, so a handler reads everything and asks once:
//
//   op.name = args.Name("lock name");
//   while (args.More()) {
//     if (args.Token("TTL")) op.ttl_ms = args.Integer("TTL", 1, kTtlMsMax);
//     else if (args.Token("SHARED")) op.mode = Mode::kShared;
//     else args.SyntaxError();
//   }
//   if (args.failed()) return args.error();
#pragma once

#include <array>
#include <optional>
#include <span>

#include "src/base/bytes.h"
#include "src/base/limits.h"
#include "src/resp/reply.h"

namespace lockstep {

class Args {
 public:
  // `argv[0]` is the command (and argv[1] its subcommand, when `skip` is 2). Borrows.
  explicit Args(std::span<const BytesView> argv, size_t skip = 1) : argv_(argv), at_(skip) {}

  bool More() const { return !failed() && at_ < argv_.size(); }
  size_t left() const { return argv_.size() - at_; }

  // Any bytes.
  BytesView Next();
  // 1 to `bytes_max` bytes; `what` names it in the error: "ERR lock name is empty".
  BytesView Name(const char* what, size_t bytes_max = kNameBytesMax);
  // Whether the next argument is this option (any case). If so it is taken; a second time it is a
  // syntax error, since nobody can mean both. Remembers the options asked for, so that SyntaxError
  // can say "did you mean TTL?".
  bool Token(const char* token);
  // The next argument as a number in [low, high]; `what` names it. Redis's own texts for what is no
  // integer: "ERR value is not an integer or out of range"; else "ERR TTL must be between
  // 1 and ...".
  int64_t Integer(const char* what, int64_t low, int64_t high);

  // The next argument as BLOCK's milliseconds, 0 to kBlockMsMax; Redis's own texts for timeouts.
  int64_t BlockMs();

  // "ERR syntax error near 'TLT' (did you mean TTL?)", or Redis's "ERR syntax error" at the end.
  void SyntaxError();
  void Fail(Reply error);
  bool failed() const { return error_.has_value(); }
  const Reply& error() const { return *error_; }  // Once it has failed.

  std::span<const BytesView> all() const { return argv_; }
  std::span<const BytesView> rest() const { return argv_.subspan(at_); }

 private:
  std::span<const BytesView> argv_;
  size_t at_;
  std::optional<Reply> error_;  // The first.
  // No command has more options than these have places.
  struct Options {
    std::array<const char*, 16> names;
    size_t count = 0;
    bool Has(BytesView name) const;
    void Add(const char* name);
    std::span<const char* const> all() const { return {names.data(), count}; }
  };
  Options asked_;
  Options taken_;
};

}  // namespace lockstep
