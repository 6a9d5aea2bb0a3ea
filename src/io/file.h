// Files, written so that a crash leaves the old text or the new: never a mixture, never nothing.
#pragma once

#include "src/base/result.h"

namespace lockstep::io {

// "cannot <deed> <path>: <errno in words>".
Error SystemError(const char* deed, const Bytes& path);

// A descriptor that closes with its owner.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void Close();

 private:
  int fd_ = -1;
};

// Nothing: there is no such file. An error: it cannot be read, or is longer than `bytes_max`.
Result<std::optional<Bytes>> ReadFileIfThere(const Bytes& path, size_t bytes_max);
// The same where the file must be there. "-" is standard input.
Result<Bytes> ReadFile(const Bytes& path, size_t bytes_max);

// Beside the file, synced, renamed over it, folder synced: a rename alone may be lost with the
// power (Pillai et al., OSDI 2014). Keeps the permissions of what it replaces; a new file is 0640.
Result<void> ReplaceFile(const Bytes& path, BytesView text);

// Makes names that were added to or removed from the folder survive a power loss.
Result<void> SyncFolder(const Bytes& path);

// The folder and those above it; each new name synced into its parent.
Result<void> MakeFolders(const Bytes& path);

}  // namespace lockstep::io
