// SPDX-License-Identifier: Apache-2.0
#include "tests/profiles/fault_vfs.h"

#include <signal.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstring>
#include <new>

namespace meshplan {
namespace {

// SQLite calls back without a place for our own state.
struct Plan {
  FaultyDisk::Fault fault;
  int64_t at, count;
  bool onlyOnce;
};
Plan plan;
sqlite3_vfs shim;
sqlite3_vfs* real = nullptr;

struct File {
  sqlite3_file base;
  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

sqlite3_file* innerOf(sqlite3_file* file) {
  return reinterpret_cast<File*>(file)->inner();
}

int step() {
  const int64_t now = ++plan.count;
  const bool due = plan.at > 0 && (plan.onlyOnce ? now == plan.at : now >= plan.at);
  if (!due) return SQLITE_OK;
  switch (plan.fault) {
    case FaultyDisk::Fault::none:
      return SQLITE_OK;
    case FaultyDisk::Fault::ioError:
      return SQLITE_IOERR_WRITE;
    case FaultyDisk::Fault::full:
      return SQLITE_FULL;
    case FaultyDisk::Fault::kill:
      ::kill(::getpid(), SIGKILL);
  }
  return SQLITE_OK;
}

const sqlite3_io_methods kMethods = {
    1,
    [](sqlite3_file* f) {
      const int result =
          innerOf(f)->pMethods ? innerOf(f)->pMethods->xClose(innerOf(f)) : SQLITE_OK;
      return result;
    },
    [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
      return innerOf(f)->pMethods->xRead(innerOf(f), to, n, at);
    },
    [](sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
      // A disk that is full, or dies, may have taken a part of it.
      if (const int failed = step()) {
        innerOf(f)->pMethods->xWrite(innerOf(f), from, n / 2, at);
        return failed;
      }
      return innerOf(f)->pMethods->xWrite(innerOf(f), from, n, at);
    },
    [](sqlite3_file* f, sqlite3_int64 size) {
      const int failed = step();
      return failed ? failed : innerOf(f)->pMethods->xTruncate(innerOf(f), size);
    },
    [](sqlite3_file* f, int flags) {
      const int failed = step();
      if (failed) return failed == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_FSYNC;
      return innerOf(f)->pMethods->xSync(innerOf(f), flags);
    },
    [](sqlite3_file* f, sqlite3_int64* size) {
      return innerOf(f)->pMethods->xFileSize(innerOf(f), size);
    },
    [](sqlite3_file* f, int level) { return innerOf(f)->pMethods->xLock(innerOf(f), level); },
    [](sqlite3_file* f, int level) { return innerOf(f)->pMethods->xUnlock(innerOf(f), level); },
    [](sqlite3_file* f, int* held) {
      return innerOf(f)->pMethods->xCheckReservedLock(innerOf(f), held);
    },
    [](sqlite3_file* f, int operation, void* argument) {
      return innerOf(f)->pMethods->xFileControl(innerOf(f), operation, argument);
    },
    [](sqlite3_file* f) { return innerOf(f)->pMethods->xSectorSize(innerOf(f)); },
    [](sqlite3_file* f) { return innerOf(f)->pMethods->xDeviceCharacteristics(innerOf(f)); },
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr};

int openFile(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* given) {
  file->pMethods = nullptr;
  std::memset(innerOf(file), 0, static_cast<size_t>(real->szOsFile));
  if (flags & SQLITE_OPEN_MAIN_JOURNAL)
    if (step() != SQLITE_OK) return SQLITE_CANTOPEN;
  const int result = real->xOpen(real, name, innerOf(file), flags, given);
  if (result == SQLITE_OK || innerOf(file)->pMethods) file->pMethods = &kMethods;
  return result;
}

int deleteFile(sqlite3_vfs*, const char* name, int sync) {
  if (step() != SQLITE_OK) return SQLITE_IOERR_DELETE;
  return real->xDelete(real, name, sync);
}

}  // namespace

FaultyDisk::FaultyDisk(Fault fault, int64_t at, bool onlyOnce) {
  plan = {fault, at, 0, onlyOnce};
  real = sqlite3_vfs_find(nullptr);
  shim = *real;
  shim.pNext = nullptr;
  shim.zName = "faulty";
  shim.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
  shim.xOpen = openFile;
  shim.xDelete = deleteFile;
  sqlite3_vfs_register(&shim, 1);
}

FaultyDisk::~FaultyDisk() {
  sqlite3_vfs_unregister(&shim);
  sqlite3_vfs_register(real, 1);
}

int64_t FaultyDisk::operations() const {
  return plan.count;
}

}  // namespace meshplan
