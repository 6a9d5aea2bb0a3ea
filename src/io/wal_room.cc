#include "src/io/wal_room.h"

#include <fcntl.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <algorithm>

#include "src/io/file.h"

namespace lockstep::io {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr char kZeroes[size_t{64} << 10] = {};

IOStatus Failed(const char* deed, const Bytes& path) {
  const bool full = errno == ENOSPC;
  const Bytes why = SystemError(deed, path).message;
  return full ? IOStatus::NoSpace(why) : IOStatus::IOError(why);
}

// One log: RocksDB appends to it, in order and from one thread at a time.
class RoomyLog final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  RoomyLog(std::unique_ptr<rocksdb::FSWritableFile> file, FileDescriptor same, Bytes path)
      : FSWritableFileOwnerWrapper(std::move(file)),
        same_(std::move(same)),
        path_(std::move(path)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* dbg) override {
    const IOStatus room = MakeRoom(data.size());
    return room.ok() ? target()->Append(data, options, dbg) : room;
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& checksum, IODebugContext* dbg) override {
    const IOStatus room = MakeRoom(data.size());
    return room.ok() ? target()->Append(data, options, checksum, dbg) : room;
  }
  IOStatus Close(const IOOptions& options, IODebugContext* dbg) override {
    if (same_.valid() && ::ftruncate(same_.get(), static_cast<off_t>(written_)) != 0) {
      return Failed("shorten", path_);
    }
    same_.Close();
    return target()->Close(options, dbg);
  }

 private:
  // For so many bytes to be written next.
  IOStatus MakeRoom(size_t bytes) {
    written_ += bytes;
    if (written_ <= end_) return IOStatus::OK();
    for (const uint64_t end = written_ + kWalRoomBytes; end_ < end;) {
      const size_t size = std::min<uint64_t>(sizeof kZeroes, end - end_);
      const ssize_t done = ::pwrite(same_.get(), kZeroes, size, static_cast<off_t>(end_));
      if (done < 0 && errno != EINTR) return Failed("lengthen", path_);
      end_ += static_cast<uint64_t>(std::max<ssize_t>(done, 0));
    }
    return IOStatus::OK();
  }

  FileDescriptor same_;
  Bytes path_;
  uint64_t written_ = 0;
  uint64_t end_ = 0;  // Of the file.
};

class FilesWithRoomInLogs final : public rocksdb::FileSystemWrapper {
 public:
  FilesWithRoomInLogs() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "lockstep.FilesWithRoomInLogs"; }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSWritableFile> made;
    IOStatus status = target()->NewWritableFile(path, options, &made, dbg);
    if (!status.ok() || !path.ends_with(".log")) {
      *file = std::move(made);
      return status;
    }
    FileDescriptor same(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!same.valid()) return Failed("open", path);
    *file = std::make_unique<RoomyLog>(std::move(made), std::move(same), path);
    return status;
  }
};

}  // namespace

std::unique_ptr<rocksdb::Env> EnvWithRoomInLogs() {
  return rocksdb::NewCompositeEnv(std::make_shared<FilesWithRoomInLogs>());
}

}  // namespace lockstep::io
