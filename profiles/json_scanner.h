// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <streambuf>
#include <string>

namespace meshplan {

/// Reads JSON from front to back without building anything: the caller asks for what it expects,
/// and skips the rest. Grammar is checked where it is read; strings come unescaped as UTF-8.
/// Throws Error(input) without a file, with the byte as its `place`, see JsonScanner::at.
class JsonScanner {
 public:
  explicit JsonScanner(std::streambuf& in) : in_(in) {}

  enum class Type { object, array, string, number, word, end };
  /// Of the value that comes next; `end` at the end of the text.
  Type next();

  /// Into an object or array; then `key` (or `item`) until it says that there are no more.
  void enter();
  bool key(std::string& name);
  bool item();

  void string(std::string& out);
  /// As it is written: 12.5, -3e2.
  void number(std::string& out);
  /// A string, number or word as text.
  void scalar(std::string& out);
  void skip();

  /// How many bytes have been read.
  uint64_t at() const { return at_; }

 private:
  static constexpr int kEnd = std::char_traits<char>::eof();

  int peek() { return in_.sgetc(); }
  int take() {
    ++at_;
    return in_.sbumpc();
  }
  int afterBlanks();
  bool more(char close);
  void escaped(std::string& out);
  uint32_t hex();
  void skipString();
  [[noreturn]] void fail(const char* problem) const;

  std::streambuf& in_;
  uint64_t at_ = 0;
  bool first_ = false;
  int depth_ = 0;
};

}  // namespace meshplan
