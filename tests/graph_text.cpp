// SPDX-License-Identifier: Apache-2.0
#include "tests/graph_text.h"

#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace meshplan {
namespace {

std::string trimmed(std::string s) {
  const size_t a = s.find_first_not_of(" \t"), b = s.find_last_not_of(" \t");
  return a == std::string::npos ? "" : s.substr(a, b - a + 1);
}

std::vector<std::string> splitOn(const std::string& s, char separator) {
  std::vector<std::string> parts;
  std::stringstream in(s);
  for (std::string part; std::getline(in, part, separator);)
    if (!trimmed(part).empty()) parts.push_back(trimmed(part));
  return parts;
}

Shape shapeOf(const std::string& s, char separator) {
  Shape shape;
  for (const std::string& d : splitOn(s, separator)) shape.push_back(std::stoll(d));
  return shape;
}

class Reader {
 public:
  explicit Reader(int64_t batch) { model_.referenceBatch = batch; }

  void line(const std::string& text) {
    const size_t equals = text.find(" = ");
    const std::vector<std::string> results = splitOn(text.substr(0, equals), ',');
    const std::string right = trimmed(text.substr(equals + 3));
    if (right.rfind("input", 0) == 0 || right.rfind("ints", 0) == 0)
      addInput(results.at(0), right);
    else
      addOperator(results, right);
  }

  Model finish() {
    model_.name = "text";
    model_.graph.outputs() = {last_};
    propagateBatch(model_.graph);
    return std::move(model_);
  }

 private:
  void addInput(const std::string& name, const std::string& right) {
    const size_t open = right.find('['), close = right.find(']');
    const Shape shape = shapeOf(right.substr(open + 1, close - open - 1), ',');
    const DType type = right[1] == 'n' && right[2] == 't' ? DType::i64 : DType::f32;
    if (shape.size() > 1 && shape.size() < 4) model_.tokensPerSample = shape[1];
    values_[name] = model_.graph.addInput(name, {type, shape}, 0,
                                          shape.size() > 1 && shape.size() < 4 ? 1 : -1);
  }

  static Attribute attributeOf(const std::string& value) {
    const auto onlyOf = [&](const char* characters) {
      return value.find_first_not_of(characters) == std::string::npos;
    };
    if (onlyOf("-0123456789")) return int64_t{std::stoll(value)};
    if (value.find('x') != std::string::npos && onlyOf("0123456789x"))
      return shapeOf(value.back() == 'x' ? value.substr(0, value.size() - 1) : value, 'x');
    if (std::isdigit(value[0])) return std::stod(value);
    return value;
  }

  void addOperator(const std::vector<std::string>& results, const std::string& right) {
    const size_t open = right.find('('), close = right.find(')');
    const std::string type = trimmed(right.substr(0, open));
    std::vector<TensorId> inputs;
    for (const std::string& argument : splitOn(right.substr(open + 1, close - open - 1), ','))
      inputs.push_back(operand(results.at(0), argument));
    Attributes attributes;
    const size_t brace = right.find('{'), at = right.find('@');
    if (brace != std::string::npos)
      for (const std::string& item :
           splitOn(right.substr(brace + 1, right.find('}') - brace - 1), ',')) {
        const size_t e = item.find('=');
        attributes.set(item.substr(0, e), attributeOf(item.substr(e + 1)));
      }
    const std::string module = at == std::string::npos ? "" : trimmed(right.substr(at + 1));
    const OpId op = model_.graph.addOperator(type, inputs, attributes, results.at(0), module);
    for (size_t i = 0; i < results.size(); ++i) values_[results[i]] = model_.graph.output(op, i);
    last_ = model_.graph.output(op);
  }

  TensorId operand(const std::string& result, const std::string& argument) {
    if (argument[0] != '*') {
      if (!values_.count(argument)) throw std::invalid_argument("unknown value " + argument);
      return values_.at(argument);
    }
    const size_t colon = argument.find(':');
    if (const auto known = values_.find(argument.substr(0, colon)); known != values_.end())
      return known->second;
    const std::string dims = argument.substr(colon == std::string::npos ? 1 : colon + 1);
    const TensorId p =
        model_.graph.addParameter(result + ".w" + std::to_string(model_.graph.tensorCount()),
                                  {DType::f32, shapeOf(dims, 'x')});
    if (colon != std::string::npos) values_[argument.substr(0, colon)] = p;
    return p;
  }

  Model model_;
  std::map<std::string, TensorId> values_;
  TensorId last_;
};

std::string withRound(std::string s, int round) {
  for (size_t at; (at = s.find('#')) != std::string::npos;) s.replace(at, 1, std::to_string(round));
  return s;
}

}  // namespace

Model modelFromText(std::string_view text, int64_t referenceBatch) {
  Reader reader(referenceBatch);
  std::vector<std::string> body;
  int rounds = 0;
  std::stringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) {
    line = trimmed(line);
    if (line.empty()) continue;
    if (line.rfind("repeat ", 0) == 0) {
      rounds = std::stoi(line.substr(7));
    } else if (line == "end") {
      for (int i = 0; i < rounds; ++i)
        for (const std::string& l : body) reader.line(withRound(l, i));
      rounds = 0;
      body.clear();
    } else if (rounds > 0) {
      body.push_back(line);
    } else {
      reader.line(line);
    }
  }
  return reader.finish();
}

}  // namespace meshplan
