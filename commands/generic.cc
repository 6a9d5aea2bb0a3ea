// The commands on keys as such.
#include "commands/generic_time.h"
#include "commands/shared_replies.h"
#include "commands/string.h"

namespace lockstep {
namespace {

constexpr int64_t kDatabasesOfRedis = 16;  // By default: what it says depends on it.

Reply NoSuchKey() {
  return Reply::Error("ERR", "no such key");
}

// With its time to live.
void CopyTo(Keys& keys, BytesView destination, const Keys::Value& source) {
  keys.Put(destination, source.bytes, ExpiryOf(source));
}

// COPY's options. Of databases there is one, number 0.
std::optional<Reply> TakeCopyOptions(Args& args, bool* replaces) {
  while (args.More()) {
    const BytesView option = args.Next();
    if (EqualsIgnoreCase(option, "REPLACE")) {
      *replaces = true;
    } else if (EqualsIgnoreCase(option, "DB") && args.More()) {
      int64_t db = 0;
      if (!ParseInt64(args.Next(), &db)) return NotAnIntegerReply();
      if (db < INT32_MIN || db > INT32_MAX) {
        return Reply::Error("ERR", Format("value is out of range, value must between %d and %d",
                                          INT32_MIN, INT32_MAX));
      }
      if (db < 0 || db >= kDatabasesOfRedis) return Reply::Error("ERR", "DB index is out of range");
      if (db != 0) {
        return Reply::Error("ERR", "Copying to another database is not allowed in cluster mode");
      }
    } else {
      return SyntaxErrorReply();
    }
  }
  return std::nullopt;
}

}  // namespace

// DEL key [key ...]
Reply KeyDel(Context&, Keys& keys, Args& args) {
  int64_t erased = 0;
  while (args.More()) erased += keys.Erase(args.Next()) ? 1 : 0;
  return Reply::Integer(erased);
}

// EXISTS key [key ...]: who is named twice counts twice.
Reply KeyExists(Context&, Keys& keys, Args& args) {
  int64_t found = 0;
  while (args.More()) found += keys.Find(args.Next()) ? 1 : 0;
  return Reply::Integer(found);
}

// RENAME key newkey
Reply KeyRename(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  const BytesView new_key = args.Next();
  const std::optional<Keys::Value> value = keys.Find(key);
  if (!value) return NoSuchKey();
  if (key != new_key) {
    if (keys.IsDurable(key)) keys.MakeDurable(new_key, 0);  // It stays what it is.
    CopyTo(keys, new_key, *value);
    keys.Erase(key);
  }
  return Reply::Ok();
}

// RENAMENX key newkey
Reply KeyRenamenx(Context&, Keys& keys, Args& args) {
  const BytesView key = args.Next();
  const BytesView new_key = args.Next();
  const std::optional<Keys::Value> value = keys.Find(key);
  if (!value) return NoSuchKey();
  if (key == new_key || keys.Find(new_key)) return Reply::Integer(0);
  if (keys.IsDurable(key)) keys.MakeDurable(new_key, 0);
  CopyTo(keys, new_key, *value);
  keys.Erase(key);
  return Reply::Integer(1);
}

// COPY source destination [DB destination-db] [REPLACE]
Reply KeyCopy(Context&, Keys& keys, Args& args) {
  const BytesView source = args.Next();
  const BytesView destination = args.Next();
  bool replaces = false;
  if (auto error = TakeCopyOptions(args, &replaces)) return *std::move(error);
  if (source == destination) {
    return Reply::Error("ERR", "source and destination objects are the same");
  }
  const std::optional<Keys::Value> value = keys.Find(source);
  if (!value || (!replaces && keys.Find(destination))) return Reply::Integer(0);
  CopyTo(keys, destination, *value);
  return Reply::Integer(1);
}

}  // namespace lockstep
