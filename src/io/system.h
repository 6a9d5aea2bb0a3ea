// What only the operating system knows.
#pragma once

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/base/time.h"

namespace lockstep::io {

// From the kernel's generator. Waits, early in the machine's life, until it is seeded.
Bytes Entropy(size_t bytes);
uint64_t EntropyU64();

// Lower-case hex.
Bytes Sha256Hex(BytesView data);

// For people only: nothing is decided by it.
int64_t WallClockUs();

struct ProcessFigures {
  size_t rss_bytes = 0;
  size_t own_bytes = 0;  // Of rss_bytes: without the pages of files, the program's above all.
  double cpu_user_seconds = 0;
  double cpu_system_seconds = 0;
};
ProcessFigures MeasureProcess();
size_t TotalMemoryBytes();

// "Linux 6.1.0 x86_64".
Bytes OperatingSystem();
// The path of the program that runs.
Bytes ExecutablePath();

// Asks for room for that many descriptors, and returns for how many there is.
size_t RaiseFileLimit(size_t wanted);

}  // namespace lockstep::io
