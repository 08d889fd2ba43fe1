// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "backend/onnx_evaluator.h"
#include "backend/tensor_proto.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_node.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

constexpr int kBfloat16 = 16;  // TensorProto.DataType
// Those of ONNX's own runner (onnx/backend/test/runner); bfloat16 has 2^-7 between neighbours.
constexpr double kRelative = 1e-3, kRelativeBfloat16 = 0x1p-6, kAbsolute = 1e-7;

/// A data set that holds something else than tensors.
struct ForeignData {
  std::string reason;
};

bool agrees(double actual, double expected, double relative) {
  if (std::isnan(expected)) return std::isnan(actual);
  if (std::isinf(expected)) return actual == expected;
  return std::abs(actual - expected) <= kAbsolute + relative * std::abs(expected);
}

std::string typeText(const TensorType& type) {
  return std::string(dtypeName(type.dtype)) + shapeText(type.shape);
}

/// Types of the graph's nodes, constants aside.
std::string operatorOf(const onnx::ModelProto& model) {
  std::set<std::string> types;
  for (const auto& node : model.graph().node())
    if (node.op_type() != "Constant") types.insert(node.op_type());
  if (types.empty() && model.graph().node_size() > 0) return "Constant";
  return types.size() == 1 ? *types.begin() : "several";
}

template <class Nodes>
bool knowsAll(const Nodes& nodes) {
  for (const auto& node : nodes) {
    const bool standard = node.domain().empty() || node.domain() == "ai.onnx";
    if (standard && !knowsNode(node.op_type())) return false;
    for (const auto& attribute : node.attribute())
      if (attribute.has_g() && !knowsAll(attribute.g().node())) return false;
  }
  return true;
}

/// Cases made before TensorProto could hold bfloat16 keep its bits as uint16.
HostTensor readValue(const std::string& path, const OnnxPort& port) {
  HostTensor stored = readTensorProto(path);
  if (port.code != kBfloat16 || stored.type().dtype != DType::i16) return stored;
  HostTensor value(TensorType{DType::bf16, stored.shape()});
  std::copy(stored.bytes().begin(), stored.bytes().end(), value.bytes().begin());
  return value;
}

void refuseForeign(const std::vector<OnnxPort>& ports) {
  for (const OnnxPort& port : ports) {
    const bool plain = (port.code >= 0 && port.code <= 7) || (port.code >= 9 && port.code <= 13) ||
                       port.code == 16;
    if (!port.isTensor) throw ForeignData{"'" + port.name + "' is no tensor"};
    if (port.code == 8) throw ForeignData{"'" + port.name + "' holds text"};
    if (!plain)
      throw ForeignData{fmt::format("'{}' has elements of ONNX type {}", port.name, port.code)};
  }
}

std::vector<std::string> dataSets(const std::string& folder) {
  std::vector<std::string> sets;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && entry.path().filename().string().starts_with("test_data_set_"))
      sets.push_back(entry.path().string());
  std::sort(sets.begin(), sets.end());
  return sets;
}

std::string checkDataSet(OnnxEvaluator& evaluator, const std::string& set) {
  const auto file = [&](const char* kind, size_t i) {
    return fmt::format("{}/{}_{}.pb", set, kind, i);
  };
  std::map<std::string, HostTensor> values;
  for (size_t i = 0; i < evaluator.inputs().size(); ++i)
    values.emplace(evaluator.inputs()[i].name, readValue(file("input", i), evaluator.inputs()[i]));
  const std::vector<HostTensor> outputs = evaluator.run(std::move(values));
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string difference =
        differenceOf(outputs[i], readValue(file("output", i), evaluator.outputs()[i]));
    if (!difference.empty()) return "output " + evaluator.outputs()[i].name + ": " + difference;
  }
  return {};
}

void runCase(const std::string& folder, int threads, OnnxCaseResult& result) {
  const OnnxFileReader file(folder + "/model.onnx");
  result.op = operatorOf(file.model());
  result.known = knowsAll(file.model().graph().node());
  OnnxEvaluator evaluator(file, threads);
  refuseForeign(evaluator.inputs());
  refuseForeign(evaluator.outputs());
  const std::vector<std::string> sets = dataSets(folder);
  if (sets.empty()) throw Error(ErrorKind::input, "there is no test_data_set");
  for (const std::string& set : sets) {
    result.reason = checkDataSet(evaluator, set);
    if (!result.reason.empty()) {
      result.outcome = OnnxCaseResult::failed;
      return;
    }
  }
}

}  // namespace

std::string differenceOf(const HostTensor& actual, const HostTensor& expected) {
  if (actual.type() != expected.type())
    return typeText(actual.type()) + " instead of " + typeText(expected.type());
  if (!isFloating(actual.type().dtype))
    return std::equal(actual.bytes().begin(), actual.bytes().end(), expected.bytes().begin())
               ? ""
               : "values differ";
  const std::vector<double> a = toDoubles(actual), e = toDoubles(expected);
  const double relative = actual.type().dtype == DType::bf16 ? kRelativeBfloat16 : kRelative;
  for (size_t i = 0; i < a.size(); ++i)
    if (!agrees(a[i], e[i], relative))
      return fmt::format("element {} is {} instead of {}", i, a[i], e[i]);
  return {};
}

std::vector<std::string> findOnnxCases(const std::string& root) {
  std::vector<std::string> cases;
  std::error_code code;
  if (fs::exists(root + "/model.onnx", code)) cases.push_back(root);
  for (auto it = fs::recursive_directory_iterator(root, code);
       !code && it != fs::recursive_directory_iterator(); it.increment(code))
    if (it->is_directory() && fs::exists(it->path() / "model.onnx"))
      cases.push_back(it->path().string());
  if (cases.empty())
    throw Error(ErrorKind::input, "there is no folder with a model.onnx",
                "give the folder onnx/backend/test/data of the Python package onnx")
        .inFile(root);
  std::sort(cases.begin(), cases.end());
  return cases;
}

OnnxCaseResult runOnnxCase(const std::string& folder, int threads) {
  OnnxCaseResult result;
  result.folder = folder;
  try {
    runCase(folder, threads, result);
  } catch (const UnsupportedNode& e) {
    result.outcome = OnnxCaseResult::unsupported;
    result.known = result.known && !e.unknownType();
    result.reason = e.place() + ": " + e.problem();
  } catch (const ForeignData& e) {
    result.plain = false;
    result.outcome = OnnxCaseResult::unsupported;
    result.reason = e.reason;
  } catch (const Error& e) {
    result.outcome = OnnxCaseResult::failed;
    result.reason = e.place().empty() ? e.problem() : e.place() + ": " + e.problem();
  }
  return result;
}

}  // namespace meshplan
