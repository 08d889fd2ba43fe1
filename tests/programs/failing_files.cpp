// SPDX-License-Identifier: Apache-2.0
// A library to preload (LD_PRELOAD) that makes the disk fail: of the calls which change files below
// FAILING_FOLDER, the one with number FAILING_CALL (from 1) returns an error, and as many as
// FAILING_COUNT (1) say from there on. FAILING_ERROR is an error number (5: EIO, 28: ENOSPC), or 0:
// a write then writes half. Each such call adds its name as a line to the file FAILING_LOG.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

long number(const char* variable, long otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::atol(text) : otherwise;
}

bool isBelow(const char* path) {
  const char* folder = std::getenv("FAILING_FOLDER");
  return folder && std::strncmp(path, folder, std::strlen(folder)) == 0;
}

bool isBelow(int file) {
  char path[PATH_MAX] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  return readlink(link.c_str(), path, sizeof path - 1) > 0 && isBelow(path);
}

void log(const char* call) {
  const char* path = std::getenv("FAILING_LOG");
  if (!path) return;
  const int file =
      next<int(const char*, int, ...)>("open")(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  const std::string line = std::string(call) + "\n";
  if (next<ssize_t(int, const void*, size_t)>("write")(file, line.data(), line.size()) < 0) abort();
  close(file);
}

/// Whether this call, which is one of those counted, is to fail.
bool fails(const char* call) {
  static std::atomic<long> calls{0};
  const long first = number("FAILING_CALL", 0), count = number("FAILING_COUNT", 1);
  const long mine = ++calls;
  if (first <= 0 || mine < first || mine - first >= count) return false;
  log(call);
  errno = static_cast<int>(number("FAILING_ERROR", EIO));
  return true;
}

int openOrFail(const char* name, const char* path, int flags, mode_t mode) {
  if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0 && isBelow(path) && fails("open") && errno != 0)
    return -1;
  return next<int(const char*, int, ...)>(name)(path, flags, mode);
}

mode_t modeOf(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = modeOf(flags, arguments);
  va_end(arguments);
  return openOrFail("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = modeOf(flags, arguments);
  va_end(arguments);
  return openOrFail("open64", path, flags, mode);
}

ssize_t write(int file, const void* data, size_t size) {
  if (isBelow(file) && fails("write")) {
    if (errno != 0) return -1;
    size = (size + 1) / 2;
  }
  return next<ssize_t(int, const void*, size_t)>("write")(file, data, size);
}

int fsync(int file) {
  if (isBelow(file) && fails("fsync") && errno != 0) return -1;
  return next<int(int)>("fsync")(file);
}

int ftruncate(int file, off_t size) noexcept {
  if (isBelow(file) && fails("ftruncate") && errno != 0) return -1;
  return next<int(int, off_t)>("ftruncate")(file, size);
}

int ftruncate64(int file, off64_t size) noexcept {
  if (isBelow(file) && fails("ftruncate") && errno != 0) return -1;
  return next<int(int, off64_t)>("ftruncate64")(file, size);
}

int rename(const char* from, const char* to) noexcept {
  if (isBelow(to) && fails("rename") && errno != 0) return -1;
  return next<int(const char*, const char*)>("rename")(from, to);
}
}
