// SPDX-License-Identifier: Apache-2.0
#include "profiles/json_scanner.h"

#include "core/error.h"

namespace meshplan {
namespace {

constexpr int kDeepest = 512;

bool isBlank(int c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}
bool ofNumber(int c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}
bool ofWord(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void appendUtf8(std::string& out, uint32_t c) {
  const auto tail = [&](int shift) { out += char(0x80 | ((c >> shift) & 0x3f)); };
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xc0 | (c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    out += char(0xe0 | (c >> 12));
    tail(6), tail(0);
  } else {
    out += char(0xf0 | (c >> 18));
    tail(12), tail(6), tail(0);
  }
}

}  // namespace

void JsonScanner::fail(const char* problem) const {
  throw Error(ErrorKind::input, std::string("not valid JSON: ") + problem,
              "check that the file is complete");
}

int JsonScanner::afterBlanks() {
  int c = peek();
  while (isBlank(c)) {
    take();
    c = peek();
  }
  return c;
}

JsonScanner::Type JsonScanner::next() {
  const int c = afterBlanks();
  if (c == '{') return Type::object;
  if (c == '[') return Type::array;
  if (c == '"') return Type::string;
  if (c == kEnd) return Type::end;
  if (ofNumber(c)) return Type::number;
  if (ofWord(c)) return Type::word;
  fail("an unexpected character");
}

void JsonScanner::enter() {
  afterBlanks();
  take();
  first_ = true;
  if (++depth_ > kDeepest) fail("nested too deep");
}

bool JsonScanner::more(char close) {
  int c = afterBlanks();
  if (c == close) {
    take();
    first_ = false;
    --depth_;
    return false;
  }
  if (!first_) {
    if (c == kEnd) fail("it ends early");
    if (c != ',') fail("a comma is missing");
    take();
    c = afterBlanks();
  }
  if (c == kEnd) fail("it ends early");
  first_ = false;
  return true;
}

bool JsonScanner::key(std::string& name) {
  if (!more('}')) return false;
  if (peek() != '"') fail("a key is missing");
  string(name);
  if (afterBlanks() != ':') fail("a colon is missing");
  take();
  return true;
}

bool JsonScanner::item() {
  return more(']');
}

uint32_t JsonScanner::hex() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const int c = take();
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) fail("a wrong escape in a string");
    value = value * 16 + uint32_t(digit);
  }
  return value;
}

void JsonScanner::escaped(std::string& out) {
  constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
  const int c = take();
  if (const size_t at = kFrom.find(char(c)); c != kEnd && at != std::string_view::npos) {
    out += kTo[at];
    return;
  }
  if (c != 'u') fail("a wrong escape in a string");
  uint32_t code = hex();
  if (code >= 0xd800 && code < 0xdc00) {
    if (take() != '\\' || take() != 'u') fail("a wrong escape in a string");
    const uint32_t low = hex();
    if (low < 0xdc00 || low > 0xdfff) fail("a wrong escape in a string");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  appendUtf8(out, code);
}

void JsonScanner::string(std::string& out) {
  out.clear();
  take();
  for (int c = take(); c != '"'; c = take()) {
    if (c == kEnd) fail("it ends early");
    if (c == '\\')
      escaped(out);
    else
      out += char(c);
  }
}

void JsonScanner::skipString() {
  take();
  for (int c = take(); c != '"'; c = take()) {
    if (c == kEnd) fail("it ends early");
    if (c == '\\') take();
  }
}

void JsonScanner::number(std::string& out) {
  out.clear();
  for (int c = peek(); ofNumber(c); c = peek()) {
    out += char(c);
    take();
  }
}

void JsonScanner::scalar(std::string& out) {
  const Type type = next();
  if (type == Type::string) return string(out);
  if (type == Type::number) return number(out);
  out.clear();
  if (type != Type::word) return skip();
  for (int c = peek(); ofWord(c); c = peek()) {
    out += char(c);
    take();
  }
}

void JsonScanner::skip() {
  switch (next()) {
    case Type::end:
      fail("it ends early");
    case Type::string:
      return skipString();
    case Type::number:
      while (ofNumber(peek())) take();
      return;
    case Type::word:
      while (ofWord(peek())) take();
      return;
    case Type::array:
      enter();
      while (item()) skip();
      return;
    case Type::object:
      enter();
      while (more('}')) {
        if (peek() != '"') fail("a key is missing");
        skipString();
        if (afterBlanks() != ':') fail("a colon is missing");
        take();
        skip();
      }
  }
}

}  // namespace meshplan
