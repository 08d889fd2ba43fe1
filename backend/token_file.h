// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/mapped_file.h"

namespace meshplan {

/// A text as token ids: a raw file of little-endian uint16 or uint32 without a header, mapped.
/// Every id must be below `vocabulary`; the whole file is checked when it is opened. Throws
/// Error(input) naming the first id that is not, and its position.
class TokenFile {
 public:
  /// `width`: 2 or 4 bytes per token; 0 chooses 2 where the vocabulary fits into it.
  TokenFile(const std::string& path, int64_t vocabulary, int width = 0);

  int64_t size() const { return size_; }
  /// Tokens [begin, begin + to.size()); throws Error(internal) beyond the end.
  void read(int64_t begin, std::span<int64_t> to) const;

 private:
  int64_t at(int64_t i) const;
  void check(int64_t vocabulary) const;

  MappedFile file_;
  int width_;
  int64_t size_ = 0;
};

}  // namespace meshplan
