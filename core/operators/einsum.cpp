// SPDX-License-Identifier: Apache-2.0
#include "core/operators/einsum.h"

#include <algorithm>
#include <map>
#include <string>

#include "core/operators/support.h"

namespace meshplan {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Dimensions named by one character each: letters, and '0', '1' ... for those of an ellipsis,
/// right-aligned to '9'.
struct Equation {
  std::vector<std::string> operands;
  std::string result;
};

std::string expandEllipsis(const std::string& term, size_t dims) {
  const size_t at = term.find("...");
  if (at == std::string::npos) return term;
  std::string digits;
  for (size_t i = 0; i < dims; ++i) digits += static_cast<char>('9' - (dims - 1 - i));
  return term.substr(0, at) + digits + term.substr(at + 3);
}

void checkTerm(const std::string& term) {
  std::string rest = term;
  if (const size_t at = rest.find("..."); at != std::string::npos) rest.erase(at, 3);
  if (rest.find_first_not_of(kLetters) != std::string::npos)
    rejectInputs("einsum term '" + term + "' is not made of letters");
}

std::vector<std::string> splitTerms(const std::string& text) {
  std::vector<std::string> terms(1);
  for (char ch : text) {
    if (ch == ',')
      terms.emplace_back();
    else
      terms.back() += ch;
  }
  for (const std::string& term : terms) checkTerm(term);
  return terms;
}

std::string implicitResult(const std::vector<std::string>& terms) {
  std::map<char, int> count;
  bool ellipsis = false;
  for (const std::string& term : terms)
    for (char ch : term) {
      ellipsis |= ch == '.';
      if (ch != '.') ++count[ch];
    }
  std::string result = ellipsis ? "..." : "";
  for (const auto& [letter, n] : count)
    if (n == 1) result += letter;
  return result;
}

size_t ellipsisDims(const std::string& term, size_t rank) {
  const bool ellipsis = term.find("...") != std::string::npos;
  const size_t letters = term.size() - (ellipsis ? 3 : 0);
  if (ellipsis ? rank < letters : rank != letters)
    rejectInputs("einsum term '" + term + "' does not fit an input of rank " +
                 std::to_string(rank));
  if (rank - letters > 10) rejectInputs("an einsum ellipsis stands for too many dimensions");
  return rank - letters;
}

Equation parse(const Attributes& attributes, Types inputs) {
  std::string text = attributes.getString("equation", "");
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const size_t arrow = text.find("->");
  std::vector<std::string> terms = splitTerms(text.substr(0, arrow));
  std::string result = arrow == std::string::npos ? implicitResult(terms) : text.substr(arrow + 2);
  checkTerm(result);
  if (terms.size() != inputs.size())
    rejectInputs("einsum equation '" + text + "' does not have one term per input");
  size_t most = 0;
  Equation equation;
  for (size_t i = 0; i < terms.size(); ++i) {
    const size_t dims = ellipsisDims(terms[i], inputs[i].shape.size());
    most = std::max(most, dims);
    equation.operands.push_back(expandEllipsis(terms[i], dims));
  }
  equation.result = expandEllipsis(result, most);
  return equation;
}

std::map<char, int64_t> extentsOf(const Equation& equation, Types inputs) {
  std::map<char, int64_t> extents;
  for (size_t i = 0; i < inputs.size(); ++i)
    for (size_t d = 0; d < equation.operands[i].size(); ++d) {
      auto [at, isNew] = extents.try_emplace(equation.operands[i][d], inputs[i].shape[d]);
      const int64_t extent = inputs[i].shape[d];
      if (at->second == 1) at->second = extent;
      if (extent != at->second && extent != 1)
        expectEqual(extent, at->second, std::string("einsum letter ") + at->first);
    }
  return extents;
}

std::string_view axisName(char letter) {
  const size_t at = kLetters.find(letter);
  return at == std::string_view::npos ? "ellipsis" : kLetters.substr(at, 1);
}

bool repeats(const std::string& term, char letter) {
  return std::count(term.begin(), term.end(), letter) > 1;
}

AxisKind kindOf(const Equation& equation, char letter) {
  for (const std::string& term : equation.operands)
    if (repeats(term, letter)) return AxisKind::opaque;
  const bool kept = equation.result.find(letter) != std::string::npos;
  return kept ? AxisKind::parallel : AxisKind::reduce;
}

}  // namespace

std::vector<TensorType> inferEinsum(const Attributes& attributes, Types inputs) {
  expectInputs(inputs, 1, 32);
  const Equation equation = parse(attributes, inputs);
  const std::map<char, int64_t> extents = extentsOf(equation, inputs);
  TensorType y{inputs[0].dtype, {}};
  for (char letter : equation.result) {
    const auto at = extents.find(letter);
    if (at == extents.end())
      rejectInputs(std::string("einsum output letter '") + letter + "' is in no input");
    y.shape.push_back(at->second);
  }
  return {y};
}

LoopNest nestEinsum(const OpContext& c) {
  const Equation equation = parse(c.attributes, c.inputs);
  LoopNest nest;
  std::map<char, int8_t> axes;
  const std::map<char, int64_t> extents = extentsOf(equation, c.inputs);
  for (const auto& [letter, extent] : extents)
    axes[letter] = nest.addAxis(axisName(letter), extent, kindOf(equation, letter));
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    TensorWalk& walk = nest.inputs.emplace_back();
    for (size_t d = 0; d < equation.operands[i].size(); ++d) {
      const char letter = equation.operands[i][d];
      const bool whole = c.inputs[i].shape[d] == extents.at(letter);
      walk.push_back({whole ? axes[letter] : kNoAxis});
    }
  }
  TensorWalk& walk = nest.outputs.emplace_back();
  for (char letter : equation.result) walk.push_back({axes[letter]});
  return nest;
}

}  // namespace meshplan
