#include "src/io/system.h"

#include <openssl/evp.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "src/base/check.h"
#include "src/io/file.h"

namespace lockstep::io {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

size_t PageBytes() {
  return static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

Bytes Entropy(size_t bytes) {
  Bytes out(bytes, '\0');
  for (size_t done = 0; done < bytes;) {
    const ssize_t got = ::getrandom(out.data() + done, bytes - done, 0);
    CHECK_SAYS(got >= 0 || errno == EINTR, "getrandom: %s", std::strerror(errno));
    if (got > 0) done += static_cast<size_t>(got);
  }
  return out;
}

uint64_t EntropyU64() {
  uint64_t value = 0;
  std::memcpy(&value, Entropy(sizeof value).data(), sizeof value);
  return value;
}

Bytes Sha256Hex(BytesView data) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  CHECK(EVP_Digest(data.data(), data.size(), digest, &size, EVP_sha256(), nullptr) == 1);
  Bytes hex;
  for (unsigned i = 0; i < size; ++i) hex += Format("%02x", digest[i]);
  return hex;
}

int64_t WallClockUs() {
  timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * kUsPerSecond + now.tv_nsec / 1000;
}

ProcessFigures MeasureProcess() {
  ProcessFigures figures;
  rusage usage = {};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    figures.cpu_user_seconds = Seconds(usage.ru_utime);
    figures.cpu_system_seconds = Seconds(usage.ru_stime);
  }
  unsigned long pages = 0;
  unsigned long of_files = 0;
  const auto statm = ReadFile("/proc/self/statm", 4096);  // In pages: total, resident, shared, ...
  if (statm && std::sscanf(statm->c_str(), "%*u %lu %lu", &pages, &of_files) == 2) {
    figures.rss_bytes = pages * PageBytes();
    figures.own_bytes = (pages - std::min(pages, of_files)) * PageBytes();
  }
  return figures;
}

size_t TotalMemoryBytes() {
  return static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * PageBytes();
}

Bytes OperatingSystem() {
  utsname name = {};
  if (::uname(&name) != 0) return "unknown";
  return Format("%s %s %s", name.sysname, name.release, name.machine);
}

Bytes ExecutablePath() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? Bytes(path, static_cast<size_t>(size)) : "";
}

size_t RaiseFileLimit(size_t wanted) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;  // What a process has at least.
  if (limit.rlim_cur >= wanted) return static_cast<size_t>(limit.rlim_cur);
  const rlimit raised{.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max),
                      .rlim_max = limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  return static_cast<size_t>(limit.rlim_cur);
}

}  // namespace lockstep::io
