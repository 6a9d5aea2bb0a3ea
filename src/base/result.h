// The world's errors are values: a Result<T> is a T or why there is none.
#pragma once

#include <optional>
#include <utility>

#include "src/base/bytes.h"
#include "src/base/check.h"

namespace lockstep {

struct Error {
  Bytes message;  // A sentence without a full stop: what happened and, where known, what to do.
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}        // NOLINT: meant to convert.
  Result(Error error) : error_(std::move(error)) {}    // NOLINT: meant to convert.

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  const Error& error() const {
    CHECK(!ok());
    return error_;
  }

 private:
  std::optional<T> value_;
  Error error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: meant to convert.

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace lockstep
