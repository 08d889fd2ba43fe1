// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace meshplan {

/// A file that appears whole or not at all: written under a temporary name (`path`.tmp0, or .tmp1,
/// ... while others write the same file) in the same folder; `commit` makes it durable (fsync),
/// renames it, and makes the folder durable. Without `commit` nothing is left behind. What a killed
/// process left is taken by the next one. A symbolic link stays, the file that it names is
/// replaced. Throws Error(runtime) that names the file when the system refuses, or for a device or
/// folder.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(const std::string& text) { write(std::as_bytes(std::span(text))); }
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_, temporary_;
  int descriptor_ = -1;
};

}  // namespace meshplan
