// A node's folder: who uses it, which version wrote it, and how much is surely on its disk.
//
//   LOCK     the pid of the server that uses the folder; locked while it runs
//   FORMAT   the version of the layout; its being there says that the folder was made to the end
//   SYNCED   the number of the last batch whose sync has ended: a lower bound, see below
//   store/   RocksDB's
//
// SYNCED is what tells damage from a torn tail. A crash may tear what was being written, and
// losing that harms nobody: nothing was promised on it. Damage to what was synced before must stop
// the node, for votes and entries stand on it (etcd #6191 and #14143 treated one as the other).
// RocksDB alone cannot tell, its log simply ends at the first bad record. So the number is written
// down after each sync: not itself synced each time, since being behind only makes it a weaker
// bound, never a wrong one; a power loss costs it a second at most, a killed process nothing.
//
// Not thread-safe. Owned by StorageRocksdb: opened on the node thread, marked on the disk thread.
#pragma once

#include "src/io/file.h"

namespace lockstep::io {

class DataFolder {
 public:
  // Makes the folder if need be and locks it. An error: another server has it, another version
  // wrote it, or it is damaged.
  static Result<DataFolder> Open(const Bytes& dir);

  bool is_new() const { return is_new_; }
  const Bytes& dir() const { return dir_; }
  Bytes store() const { return dir_ + "/store"; }
  // As read by Open; 0 when new.
  uint64_t synced() const { return synced_; }

  // What was made in the folder is whole: from now on its absence is damage.
  Result<void> FinishMaking();

  // Batch `number` and all before it are on disk.
  Result<void> MarkSynced(uint64_t number);
  // Makes the mark itself survive a power loss.
  Result<void> SyncMark();

 private:
  Result<void> Lock();
  Result<void> ReadFormat();
  Result<void> ReadMark();

  Bytes dir_;
  bool is_new_ = false;
  uint64_t synced_ = 0;
  FileDescriptor lock_;
  FileDescriptor mark_;
};

}  // namespace lockstep::io
