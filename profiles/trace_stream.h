// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <istream>
#include <memory>
#include <streambuf>
#include <string>
#include <vector>

struct gzFile_s;

namespace meshplan {

/// A file as text, inflated on the way when it is gzipped, in pieces of 64 KiB. Bytes that JSON
/// forbids in strings (control characters, PyTorch issue 130622) come as blanks, and those outside
/// ASCII, unless they are asked for, as '?'. Throws Error(input) naming
/// the file when it cannot be read or its compression is damaged.
class TraceStream : public std::streambuf {
 public:
  enum class Characters { ascii, all };
  explicit TraceStream(const std::string& path, Characters characters = Characters::ascii);
  ~TraceStream() override;
  TraceStream(const TraceStream&) = delete;
  TraceStream& operator=(const TraceStream&) = delete;

  /// The line of a byte of the piece that was read last, from 1.
  int64_t lineOf(uint64_t byte) const;

 protected:
  int_type underflow() override;

 private:
  std::string path_;
  Characters characters_;
  gzFile_s* file_ = nullptr;
  std::vector<char> raw_, text_;
  uint64_t begin_ = 0;  // of the piece, in the inflated file
  int64_t lines_ = 0;   // before it
};

}  // namespace meshplan
