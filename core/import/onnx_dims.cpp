// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_dims.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_reader.h"

namespace meshplan {
namespace {

using Lookup = std::function<std::optional<int64_t>(const std::string&)>;

/// Recursive descent over + - * / // % ( ) and names. Division rounds down, as in Python.
class Expression {
 public:
  Expression(std::string_view text, Lookup lookup) : text_(text), lookup_(std::move(lookup)) {}

  /// Nothing when the text is not an expression.
  std::optional<int64_t> value() {
    const int64_t v = sum(0);
    skipSpace();
    return failed_ || at_ != text_.size() ? std::nullopt : std::optional<int64_t>(v);
  }

 private:
  void skipSpace() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool accept(std::string_view token) {
    skipSpace();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  int64_t fail() {
    failed_ = true;
    at_ = text_.size();
    return 1;
  }
  int64_t sum(int depth) {
    int64_t v = product(depth);
    while (!failed_) {
      if (accept("+"))
        v = checkedAdd(v, product(depth));
      else if (accept("-"))
        v = checkedAdd(v, -product(depth));
      else
        break;
    }
    return v;
  }
  int64_t product(int depth) {
    int64_t v = atom(depth);
    while (!failed_) {
      if (accept("*"))
        v = checkedMul(v, atom(depth));
      else if (accept("//") || accept("/"))
        v = divide(v, atom(depth));
      else if (accept("%"))
        v = remainder(v, atom(depth));
      else
        break;
    }
    return v;
  }
  int64_t divide(int64_t a, int64_t b) {
    if (b <= 0) return fail();
    return a >= 0 ? a / b : -((-a + b - 1) / b);
  }
  int64_t remainder(int64_t a, int64_t b) { return b <= 0 ? fail() : a - divide(a, b) * b; }
  int64_t atom(int depth) {
    skipSpace();
    if (depth > 50 || at_ >= text_.size()) return fail();
    if (accept("(")) {
      const int64_t v = sum(depth + 1);
      return accept(")") ? v : fail();
    }
    const size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) ||
                                  text_[at_] == '_' || text_[at_] == '.'))
      ++at_;
    if (start == at_) return fail();
    const std::string word(text_.substr(start, at_ - start));
    if (!std::isdigit(static_cast<unsigned char>(word[0]))) return lookup_(word).value_or(1);
    if (word.size() > 18 || word.find_first_not_of("0123456789") != std::string::npos)
      return fail();
    return std::stoll(word);
  }

  std::string_view text_;
  Lookup lookup_;
  size_t at_ = 0;
  bool failed_ = false;
};

bool isSequenceName(const std::string& name) {
  static constexpr std::array<std::string_view, 8> kNames{
      "seq",    "sequence",   "seq_len",      "sequence_length",
      "seqlen", "seq_length", "sequence_len", "max_seq_len"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace

std::optional<int64_t> DimBinder::lookup(const std::string& name) const {
  used_.insert(name);
  if (const auto it = request_.dims.find(name); it != request_.dims.end()) return it->second;
  if (request_.sequence && isSequenceName(name)) return request_.sequence;
  return std::nullopt;
}

std::optional<int64_t> DimBinder::evaluate(const std::string& text,
                                           std::set<std::string>& unbound) const {
  if (const auto whole = lookup(text)) return whole;
  std::set<std::string> names;
  const auto value = Expression(text, [&](const std::string& name) {
                       const auto bound = lookup(name);
                       if (!bound) names.insert(name);
                       return bound;
                     }).value();
  if (value && names.empty()) return value;
  if (value)
    unbound.insert(names.begin(), names.end());
  else
    unbound.insert(text);
  return std::nullopt;
}

Shape DimBinder::bind(const std::string& tensor, const onnx::TensorShapeProto& proto) {
  Shape shape;
  if (proto.dim_size() > 64) checkShape(Shape(static_cast<size_t>(proto.dim_size()), 1));
  for (const auto& dim : proto.dim()) {
    const std::string place = tensor + "." + std::to_string(shape.size());
    std::optional<int64_t> value;
    if (dim.has_dim_value() && !request_.dims.count(place))
      value = dim.dim_value();
    else
      value = evaluate(dim.dim_param().empty() ? place : dim.dim_param(), unbound_);
    if (value && *value <= 0)
      throw Error(ErrorKind::input,
                  "dimension " + std::to_string(shape.size()) + " is " + std::to_string(*value),
                  "give it a size: --dim " + place + "=1")
          .at("input " + tensor);
    shape.push_back(value.value_or(1));
  }
  checkShape(shape);
  return shape;
}

std::optional<Shape> DimBinder::tryBind(const onnx::TensorShapeProto& proto) const {
  Shape shape;
  std::set<std::string> unbound;
  for (const auto& dim : proto.dim()) {
    std::optional<int64_t> value;
    if (dim.has_dim_value())
      value = dim.dim_value();
    else if (dim.has_dim_param())
      value = evaluate(dim.dim_param(), unbound);
    if (!value || *value <= 0) return std::nullopt;
    shape.push_back(*value);
  }
  checkShape(shape);
  return shape;
}

void DimBinder::finish() const {
  if (unbound_.empty()) return;
  std::string names, options;
  for (const std::string& name : unbound_) {
    const bool batch = name.find("batch") != std::string::npos;
    names += (names.empty() ? "'" : ", '") + name + "'";
    options += " --dim " + name + (batch ? "=8" : "=1024");
  }
  throw Error(ErrorKind::input, "dimensions without a size: " + names,
              "add sizes, for example" + options);
}

}  // namespace meshplan
