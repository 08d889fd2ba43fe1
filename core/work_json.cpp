// SPDX-License-Identifier: Apache-2.0
#include "core/work_json.h"

#include <fmt/core.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/json_fields.h"

namespace meshplan {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kPhases[] = {"forward", "backward_input", "backward_weight", "update"};
constexpr double kLargest = std::numeric_limits<double>::max();

/// The figures of a struct by key, for reading and for writing alike.
template <class T, class Value>
struct Member {
  const char* key;
  Value T::*member;
};

constexpr Member<ContractionShape, double> kContraction[] = {{"batch", &ContractionShape::batch},
                                                             {"m", &ContractionShape::m},
                                                             {"n", &ContractionShape::n},
                                                             {"k", &ContractionShape::k}};

constexpr Member<AttentionShape, double> kAttention[] = {
    {"batch", &AttentionShape::batch},          {"heads", &AttentionShape::heads},
    {"kv_heads", &AttentionShape::kvHeads},     {"query_length", &AttentionShape::queryLength},
    {"key_length", &AttentionShape::keyLength}, {"head_dim", &AttentionShape::headDim},
    {"value_dim", &AttentionShape::valueDim}};
constexpr Member<AttentionShape, bool> kFlags[] = {{"causal", &AttentionShape::causal},
                                                   {"flash", &AttentionShape::flash},
                                                   {"first_flash", &AttentionShape::firstFlash},
                                                   {"fused_softmax", &AttentionShape::fusedSoftmax},
                                                   {"dropout", &AttentionShape::dropout}};

constexpr Member<OperatorWork, double> kWork[] = {
    {"flops", &OperatorWork::flops},
    {"bytes", &OperatorWork::bytes},
    {"output_elements", &OperatorWork::outputElements},
    {"accumulated_bytes", &OperatorWork::accumulated},
    {"kernel_area", &OperatorWork::kernelArea},
    {"stride_area", &OperatorWork::strideArea},
    {"transposed_bytes", &OperatorWork::transposedBytes},
    {"bias_bytes", &OperatorWork::biasBytes}};

// -0 equals 0 and has another key.
uint64_t bits(double v) {
  return std::bit_cast<uint64_t>(v);
}

template <class T, class Figures>
void writeFigures(ordered_json& out, const T& value, const Figures& figures) {
  for (const auto& f : figures) {
    if (!std::isfinite(value.*f.member))
      throw Error(ErrorKind::input, fmt::format("'{}' of an operator is not finite", f.key),
                  "check what was measured");
    if (bits(value.*f.member) != bits(T{}.*f.member)) out[f.key] = value.*f.member;
  }
}

template <class T, class Figures>
void readFigures(JsonFields& fields, T& value, const Figures& figures) {
  for (const auto& f : figures)
    value.*f.member = fields.number(f.key, value.*f.member, -kLargest, kLargest);
}

ordered_json attentionJson(const AttentionShape& shape) {
  ordered_json out;
  writeFigures(out, shape, kAttention);
  for (const auto& f : kFlags)
    if (shape.*f.member != AttentionShape{}.*f.member) out[f.key] = shape.*f.member;
  return out;
}

AttentionShape readAttention(JsonFields fields) {
  AttentionShape shape;
  readFigures(fields, shape, kAttention);
  for (const auto& f : kFlags) shape.*f.member = fields.flag(f.key, shape.*f.member);
  fields.finish();
  return shape;
}

ContractionShape readContraction(JsonFields fields) {
  ContractionShape shape;
  readFigures(fields, shape, kContraction);
  fields.finish();
  return shape;
}

uint64_t readSignature(JsonFields& fields) {
  const std::string text = fields.text("signature", "0");
  uint64_t signature = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), signature, 16);
  if (error != std::errc() || end != text.data() + text.size())
    fields.reject("signature", "not a hexadecimal number", "write 16 hexadecimal digits");
  return signature;
}

Phase readPhase(JsonFields& fields) {
  const std::string name = fields.text("phase");
  for (size_t i = 0; i < std::size(kPhases); ++i)
    if (kPhases[i] == name) return static_cast<Phase>(i);
  fields.reject("phase", fmt::format("unknown phase '{}'", name.substr(0, 80)),
                "write forward, backward_input, backward_weight or update");
}

DType readDType(JsonFields& fields) {
  try {
    return parseDType(fields.text("dtype"));
  } catch (const Error& e) {
    fields.reject("dtype", e.problem(), e.remedy());
  }
}

const OperatorDef* readDef(JsonFields& fields, UnknownOperator unknown) {
  const std::string name = fields.text("operator");
  const OperatorDef* def = findOperatorDef(name);
  if (!def && unknown == UnknownOperator::refuse)
    fields.reject("operator", fmt::format("unknown operator '{}'", name.substr(0, 80)),
                  "docs/operators.md lists the operators");
  return def;
}

OperatorWork readWork(JsonFields fields, UnknownOperator unknown) {
  OperatorWork work;
  work.def = readDef(fields, unknown);
  work.phase = readPhase(fields);
  work.compute = readDType(fields);
  readFigures(fields, work, kWork);
  work.kernels = fields.integer("kernels", work.kernels, INT64_MIN, INT64_MAX);
  if (fields.has("contraction")) work.contraction = readContraction(fields.object("contraction"));
  if (fields.has("attention")) work.attention = readAttention(fields.object("attention"));
  work.signature = readSignature(fields);
  fields.finish();
  return work;
}

}  // namespace

std::string_view phaseName(Phase phase) {
  return kPhases[static_cast<size_t>(phase)];
}

std::string workToJson(const OperatorWork& work) {
  ordered_json out = {{"operator", work.def->name},
                      {"phase", phaseName(work.phase)},
                      {"dtype", dtypeName(work.compute)}};
  writeFigures(out, work, kWork);
  if (work.kernels != OperatorWork{}.kernels) out["kernels"] = work.kernels;
  if (work.contraction != ContractionShape{})
    writeFigures(out["contraction"], work.contraction, kContraction);
  if (work.attention != AttentionShape{}) out["attention"] = attentionJson(work.attention);
  out["signature"] = fmt::format("{:016x}", work.signature);
  return out.dump();
}

OperatorWork workFromJson(const std::string& text, UnknownOperator unknown) {
  const json value = parseJson(text, "");
  return readWork(JsonFields(value, ""), unknown);
}

}  // namespace meshplan
