// SPDX-License-Identifier: Apache-2.0
#include "profiles/trace_stream.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr size_t kPiece = 1 << 16;

char visible(char c) {
  return static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
}
char harmless(char c) {
  return static_cast<unsigned char>(c) > 0x7e ? '?' : visible(c);
}

}  // namespace

TraceStream::TraceStream(const std::string& path, Characters characters)
    : path_(path), characters_(characters), raw_(), text_(kPiece) {
  file_ = ::gzopen(path.c_str(), "rb");
  if (!file_)
    throw Error(ErrorKind::input, std::string("cannot be read: ") + std::strerror(errno),
                "give the path of a readable file")
        .inFile(path);
  ::gzbuffer(file_, kPiece);
}

TraceStream::~TraceStream() {
  if (file_) ::gzclose(file_);
}

TraceStream::int_type TraceStream::underflow() {
  begin_ += raw_.size();
  lines_ += std::count(raw_.begin(), raw_.end(), '\n');
  raw_.resize(kPiece);
  const int got = ::gzread(file_, raw_.data(), kPiece);
  int status = Z_OK;
  const char* message = ::gzerror(file_, &status);
  if (got < 0 || (got == 0 && status != Z_OK && status != Z_STREAM_END))
    throw Error(ErrorKind::input,
                std::string("its compressed data ends early or is damaged: ") + message,
                "copy the file again")
        .inFile(path_);
  raw_.resize(static_cast<size_t>(got));
  if (got == 0) return traits_type::eof();
  const bool all = characters_ == Characters::all;
  std::transform(raw_.begin(), raw_.end(), text_.begin(), all ? visible : harmless);
  setg(text_.data(), text_.data(), text_.data() + got);
  return traits_type::to_int_type(*gptr());
}

int64_t TraceStream::lineOf(uint64_t byte) const {
  const uint64_t within = std::min<uint64_t>(byte < begin_ ? 0 : byte - begin_, raw_.size());
  return 1 + lines_ + std::count(raw_.begin(), raw_.begin() + static_cast<ptrdiff_t>(within), '\n');
}

}  // namespace meshplan
