#include "src/io/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "src/base/codec.h"
#include "src/base/crc32c.h"
#include "src/storage.h"

namespace lockstep::io {
namespace {

constexpr char kFormat[] = "lockstep folder, format ";
// 2: an entry holds many requests. 3: a grant that is taken back falls back to the lease of before.
// 4: a cluster has shards. 5: a queue has partitions. 6: a shard is kept by some nodes, in zones.
// 8: keys have options by prefix. 9: some from the start.
constexpr uint64_t kFormatVersion = 9;
constexpr uint64_t kMarkMagic = 0x4445'434E'5953'534C;  // "LSSYNCED".
constexpr size_t kMarkBytes = 20;  // Magic, number, CRC-32C: within one sector, so never half new.
constexpr size_t kSmallFileBytesMax = 4096;

Bytes EncodeMark(uint64_t number) {
  Bytes mark;
  Writer writer(&mark);
  writer.U64(kMarkMagic);
  writer.U64(number);
  writer.U32(Crc32c(mark));
  return mark;
}

}  // namespace

Result<DataFolder> DataFolder::Open(const Bytes& dir) {
  DataFolder folder;
  folder.dir_ = dir;
  if (const auto made = MakeFolders(dir); !made) return made.error();
  if (const auto locked = folder.Lock(); !locked) return locked.error();
  if (const auto read = folder.ReadFormat(); !read) return read.error();
  if (const auto read = folder.ReadMark(); !read) return read.error();
  return folder;
}

// flock, not a pid alone: the kernel gives it back when the process dies, however it dies, and a
// pid may be another program's by then. The pid is for the sentence only.
Result<void> DataFolder::Lock() {
  const Bytes path = dir_ + "/LOCK";
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!file.valid()) return SystemError("open", path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return SystemError("lock", path);
    char pid[24] = {};
    const ssize_t got = ::pread(file.get(), pid, sizeof pid - 1, 0);
    const Bytes who = got > 0 ? Bytes(pid, static_cast<size_t>(got)) : Bytes("unknown");
    return Error{
        Format("folder %s is in use by the server with process id %s; two servers never "
               "share a folder: stop that one or set another dir",
               dir_.c_str(), who.substr(0, who.find('\n')).c_str())};
  }
  const Bytes pid = Format("%d\n", static_cast<int>(::getpid()));
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return SystemError("write", path);
  }
  lock_ = std::move(file);
  return {};
}

// Before anything else in the folder is read: another version may have meant all of it otherwise.
Result<void> DataFolder::ReadFormat() {
  const Bytes path = dir_ + "/FORMAT";
  const auto text = ReadFileIfThere(path, kSmallFileBytesMax);
  if (!text) return text.error();
  is_new_ = !text->has_value();
  if (is_new_) return {};

  BytesView rest = **text;
  const BytesView start = kFormat;
  uint64_t version = 0;
  if (!rest.starts_with(start) || !rest.ends_with('\n') ||
      !ParseUint64(rest.substr(start.size(), rest.size() - start.size() - 1), &version)) {
    return Error{Format("%s is damaged: it says \"%s\"; %s", path.c_str(), Printable(rest).c_str(),
                        kWayOut)};
  }
  if (version != kFormatVersion) {
    return Error{
        Format("folder %s has format %llu, this server reads and writes format %llu; "
               "start the version that wrote it",
               dir_.c_str(), static_cast<unsigned long long>(version),
               static_cast<unsigned long long>(kFormatVersion))};
  }
  return {};
}

Result<void> DataFolder::ReadMark() {
  const Bytes path = dir_ + "/SYNCED";
  const auto text = ReadFileIfThere(path, kSmallFileBytesMax);
  if (!text) return text.error();
  Bytes wrong;
  if (!text->has_value()) {
    wrong = "missing";
  } else {
    Reader reader(**text);
    const bool is_mark = reader.U64() == kMarkMagic;
    const uint64_t number = reader.U64();
    const bool matches = reader.U32() == Crc32c(BytesView(**text).substr(0, kMarkBytes - 4));
    if (!is_mark || !matches || !reader.done()) wrong = "damaged";
    if (wrong.empty()) synced_ = number;
  }
  // While the folder was being made nothing was promised on it, so there it may be anything.
  if (!wrong.empty() && !is_new_) {
    return Error{
        Format("%s is %s, so nobody can tell whether the folder has lost what others rely "
               "on; %s",
               path.c_str(), wrong.c_str(), kWayOut)};
  }
  if (is_new_ && synced_ > 0) {
    return Error{
        Format("%s/FORMAT is missing though batches were written; %s", dir_.c_str(), kWayOut)};
  }
  mark_ = FileDescriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
  if (!mark_.valid()) return SystemError("open", path);
  return {};
}

Result<void> DataFolder::FinishMaking() {
  if (const auto marked = MarkSynced(0); !marked) return marked.error();
  if (const auto synced = SyncMark(); !synced) return synced.error();
  if (const auto synced = SyncFolder(dir_); !synced) return synced.error();
  // Last, and whole at once: a crash before this line leaves a folder that is made anew.
  const auto written =
      ReplaceFile(dir_ + "/FORMAT",
                  Format("%s%llu\n", kFormat, static_cast<unsigned long long>(kFormatVersion)));
  if (!written) return written.error();
  is_new_ = false;
  return {};
}

Result<void> DataFolder::MarkSynced(uint64_t number) {
  CHECK(number >= synced_);
  synced_ = number;
  const Bytes mark = EncodeMark(number);
  CHECK(mark.size() == kMarkBytes);
  if (::pwrite(mark_.get(), mark.data(), mark.size(), 0) != static_cast<ssize_t>(mark.size())) {
    return SystemError("write", dir_ + "/SYNCED");
  }
  return {};
}

Result<void> DataFolder::SyncMark() {
  if (::fdatasync(mark_.get()) != 0) return SystemError("sync", dir_ + "/SYNCED");
  return {};
}

}  // namespace lockstep::io
