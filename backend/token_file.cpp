// SPDX-License-Identifier: Apache-2.0
#include "backend/token_file.h"

#include "backend/byte_reader.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr int64_t kShortVocabulary = int64_t{1} << 16;

}  // namespace

TokenFile::TokenFile(const std::string& path, int64_t vocabulary, int width)
    : file_(path),
      width_(width != 0                       ? width
             : vocabulary <= kShortVocabulary ? 2
                                              : 4) {
  const size_t bytes = file_.bytes().size();
  try {
    if (width_ != 2 && width_ != 4)
      throw Error(ErrorKind::usage, "tokens have 2 or 4 bytes, not " + std::to_string(width_));
    if (bytes % static_cast<size_t>(width_) != 0)
      throw Error(ErrorKind::input,
                  std::to_string(bytes) + " bytes are no whole number of tokens of " +
                      std::to_string(width_) + " bytes",
                  "store tokens as uint16, or as uint32 for vocabularies above 65536");
    size_ = static_cast<int64_t>(bytes) / width_;
    check(vocabulary);
  } catch (const Error& e) {
    throw e.inFile(path);
  }
}

int64_t TokenFile::at(int64_t i) const {
  const auto offset = static_cast<size_t>(i * width_);
  return width_ == 2 ? int64_t{numberAt<uint16_t>(file_.bytes(), offset)}
                     : int64_t{numberAt<uint32_t>(file_.bytes(), offset)};
}

void TokenFile::check(int64_t vocabulary) const {
  for (int64_t i = 0; i < size_; ++i)
    if (at(i) >= vocabulary)
      throw Error(ErrorKind::input,
                  "token " + std::to_string(i) + " is " + std::to_string(at(i)) +
                      ", beyond the vocabulary of " + std::to_string(vocabulary),
                  "use the tokenizer of the model, and the right width of a token")
          .at("byte " + std::to_string(i * width_));
}

void TokenFile::read(int64_t begin, std::span<int64_t> to) const {
  const auto count = static_cast<int64_t>(to.size());
  if (begin < 0 || count > size_ || begin > size_ - count)
    throw Error(ErrorKind::internal, "tokens beyond the end of the file were asked for");
  for (int64_t i = 0; i < count; ++i) to[static_cast<size_t>(i)] = at(begin + i);
}

}  // namespace meshplan
