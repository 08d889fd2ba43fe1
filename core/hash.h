// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <variant>

#include "core/attributes.h"
#include "core/tensor.h"

namespace meshplan {

/// FNV-1a over what is added, byte by byte: the same value on every machine and in every version,
/// because plans and profiles keep it.
class Hash {
 public:
  uint64_t value() const { return value_; }

  template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>) void add(T number) {
    auto v = static_cast<uint64_t>(number);
    for (int i = 0; i < 8; ++i, v >>= 8) addByte(v & 0xff);
  }
  void add(double number) {
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &number, 8);
    add(bits);
  }
  void add(std::string_view text) {
    for (char c : text) addByte(static_cast<uint8_t>(c));
    add(text.size());
  }
  void add(const Attribute& a) {
    add(a.index());
    std::visit(
        [this](const auto& v) {
          if constexpr (std::is_arithmetic_v<std::decay_t<decltype(v)>>)
            add(v);
          else
            addItems(v);
        },
        a);
  }
  void add(const TensorType& t) {
    add(t.dtype);
    add(t.shape.size());
    for (int64_t d : t.shape) add(d);
  }

 private:
  void addByte(uint64_t b) { value_ = (value_ ^ b) * 0x100000001b3ULL; }
  void addItems(const std::string& v) { add(std::string_view(v)); }
  template <class T>
  void addItems(const std::vector<T>& v) {
    for (const auto& item : v) {
      if constexpr (std::is_arithmetic_v<T>)
        add(item);
      else
        add(std::string_view(item));
    }
  }

  uint64_t value_ = 0xcbf29ce484222325ULL;
};

}  // namespace meshplan
