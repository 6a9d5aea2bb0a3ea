#include "src/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace lockstep::io {
namespace {

Bytes FolderOf(const Bytes& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == Bytes::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> WriteAll(int fd, BytesView text, const Bytes& path) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return SystemError("write", path);
    text.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

Result<void> WriteNewFile(const Bytes& path, BytesView text, mode_t mode) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!file.valid()) return SystemError("create", path);
  if (const auto written = WriteAll(file.get(), text, path); !written) return written.error();
  if (::fchmod(file.get(), mode) != 0) return SystemError("set the permissions of", path);
  if (::fsync(file.get()) != 0) return SystemError("sync", path);
  return {};
}

Result<Bytes> ReadAll(int fd, const Bytes& path, size_t bytes_max) {
  Bytes text;
  char piece[16 * 1024];
  for (;;) {
    const ssize_t got = ::read(fd, piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError("read", path);
    if (got == 0) return text;
    if (static_cast<size_t>(got) > bytes_max - text.size()) {
      return Error{Format("%s is longer than %zu bytes", path.c_str(), bytes_max)};
    }
    text.append(piece, static_cast<size_t>(got));
  }
}

}  // namespace

// errno is read first: the formatting may change it.
Error SystemError(const char* deed, const Bytes& path) {
  const int code = errno;
  return Error{Format("cannot %s %s: %s", deed, path.c_str(), std::strerror(code))};
}

void FileDescriptor::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<std::optional<Bytes>> ReadFileIfThere(const Bytes& path, size_t bytes_max) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT) return std::optional<Bytes>();
  if (!file.valid()) return SystemError("open", path);
  Result<Bytes> text = ReadAll(file.get(), path, bytes_max);
  if (!text) return text.error();
  return std::optional<Bytes>(std::move(*text));
}

Result<Bytes> ReadFile(const Bytes& path, size_t bytes_max) {
  if (path == "-") return ReadAll(STDIN_FILENO, "standard input", bytes_max);
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return SystemError("open", path);
  return ReadAll(file.get(), path, bytes_max);
}

// Synced before the rename: some filesystems put the new name on disk before the text under it.
Result<void> ReplaceFile(const Bytes& path, BytesView text) {
  struct stat old = {};
  const mode_t mode = ::stat(path.c_str(), &old) == 0 ? old.st_mode & 07777 : mode_t{0640};
  const Bytes beside = path + ".new";
  if (const auto written = WriteNewFile(beside, text, mode); !written) {
    ::unlink(beside.c_str());
    return written.error();
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) {
    const Error error = SystemError("put the new text in place of", path);
    ::unlink(beside.c_str());
    return error;
  }
  return SyncFolder(FolderOf(path));
}

Result<void> SyncFolder(const Bytes& path) {
  FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return SystemError("open folder", path);
  if (::fsync(folder.get()) != 0) return SystemError("sync folder", path);
  return {};
}

// From the top down. What is there already, made by whomever, is taken as it is.
Result<void> MakeFolders(const Bytes& path) {
  for (size_t at = 0; at != Bytes::npos;) {
    at = path.find('/', at + 1);
    const Bytes folder = path.substr(0, at);
    if (::mkdir(folder.c_str(), 0750) == 0) {
      if (const auto synced = SyncFolder(FolderOf(folder)); !synced) return synced.error();
    } else if (errno != EEXIST) {
      return SystemError("make folder", folder);
    }
  }
  struct stat found = {};
  if (::stat(path.c_str(), &found) != 0) return SystemError("open folder", path);
  if (!S_ISDIR(found.st_mode)) return Error{path + " is not a folder"};
  return {};
}

}  // namespace lockstep::io
