// Makes room in the write-ahead log before it is written.
//
// A file that grows with each write has its new length to keep: a sync of it waits for the file
// system to commit its own journal too, which a thread of the kernel does. What is written over
// bytes that are there already is synced by itself. So the log is lengthened by zeroes, a piece at
// a time, and batches are written over them; etcd and PostgreSQL do the same. A reader takes the
// zeroes for the end (src/io/wal_walk.h), and a log that is closed in order has none.
//
// Not by fallocate: space that was never written is noted as such, and to note that it has been
// written is a change of the file system again.
#pragma once

#include <rocksdb/env.h>

#include <memory>

namespace lockstep::io {

constexpr size_t kWalRoomBytes = size_t{256} << 10;  // By which a log is lengthened.

// The default one but for its logs. It must outlive the databases that are opened with it.
std::unique_ptr<rocksdb::Env> EnvWithRoomInLogs();

}  // namespace lockstep::io
