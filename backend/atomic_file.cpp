// SPDX-License-Identifier: Apache-2.0
#include "backend/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/error.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

/// Where the bytes are to go: the file itself, where the name is a symbolic link.
std::string resolved(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_symlink(path, ignored)) return path;
  const fs::path target = fs::weakly_canonical(path, ignored);
  return ignored ? path : target.string();
}

void refuseDevices(const std::string& path) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw Error(ErrorKind::runtime, "is not a regular file", "name a file that may be replaced")
        .inFile(path);
}

std::string folderOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

/// Whether the open file still has this name: another process may have renamed or removed it.
bool isNamed(int file, const std::string& name) {
  struct stat open = {}, named = {};
  return ::fstat(file, &open) == 0 && ::stat(name.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

/// Opens a file beside `path` that no running process writes, emptied. Its permissions are those
/// that the process asks for. The lock goes when the descriptor or the process does.
int openBeside(const std::string& path, std::string& name) {
  for (int i = 0;; ++i) {
    name = path + ".tmp" + std::to_string(i);
    const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file < 0) return file;
    const bool busy = ::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!busy && isNamed(file, name)) {
      if (::ftruncate(file, 0) == 0) return file;
      const int error = errno;
      ::unlink(name.c_str());
      ::close(file);
      errno = error;
      return -1;
    }
    ::close(file);
  }
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(resolved(path)) {
  refuseDevices(path_);
  descriptor_ = openBeside(path_, temporary_);
  if (descriptor_ < 0) fail("cannot be created");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void AtomicFile::fail(const char* what) const {
  throw Error(ErrorKind::runtime, std::string(what) + ": " + std::strerror(errno),
              "check that the folder exists, is writable and has space")
      .inFile(path_);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("cannot be written");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail("cannot be written");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be renamed");
  ::close(descriptor_);
  descriptor_ = -1;
  const int folder = ::open(folderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool durable = folder >= 0 && ::fsync(folder) == 0;
  if (folder >= 0) ::close(folder);
  if (!durable) fail("its folder cannot be synchronised");
}

}  // namespace meshplan
