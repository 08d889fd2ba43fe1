// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_wire.h"
#include "core/mapped_file.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxRank = 16;
constexpr int kExternal = 1;  // TensorProto.DataLocation

std::string locationOf(const onnx::TensorProto& tensor) {
  for (const auto& entry : tensor.external_data())
    if (entry.key() == "location") return entry.value();
  return {};
}

[[noreturn]] void rejectLocation(const onnx::TensorProto& tensor, const std::string& location) {
  throw Error(
      ErrorKind::input,
      "the external data '" + location.substr(0, 200) + "' is not inside the model's folder",
      "put the data file beside the model and refer to it by a relative path")
      .at("initializer " + tensor.name());
}

void checkLexical(const onnx::TensorProto& tensor, const std::string& location) {
  const fs::path path(location);
  bool bad = location.empty() || path.is_absolute() || location.find('\0') != std::string::npos ||
             location.find('\\') != std::string::npos;
  for (const fs::path& part : path) bad = bad || part == "..";
  if (bad) rejectLocation(tensor, location);
}

void checkResolved(const onnx::TensorProto& tensor, const std::string& location,
                   const fs::path& folder) {
  std::error_code code;
  const fs::path file = fs::weakly_canonical(folder / location, code);
  const fs::path inside = code ? fs::path("..") : file.lexically_relative(folder);
  if (inside.empty() || *inside.begin() == "..") rejectLocation(tensor, location);
}

using Visit = std::function<void(const onnx::TensorProto&)>;

void visitTensors(const google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes,
                  const Visit& visit);

void visitTensors(const onnx::GraphProto& graph, const Visit& visit) {
  for (const auto& tensor : graph.initializer()) visit(tensor);
  visitTensors(graph.node(), visit);
}

void visitTensors(const google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes,
                  const Visit& visit) {
  for (const auto& node : nodes)
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_t()) visit(attribute.t());
      if (attribute.has_g()) visitTensors(attribute.g(), visit);
    }
}

void visitExternal(const onnx::ModelProto& model, const Visit& visit) {
  const auto external = [&](const onnx::TensorProto& t) {
    if (t.data_location() == kExternal) visit(t);
  };
  visitTensors(model.graph(), external);
  for (const auto& function : model.functions()) visitTensors(function.node(), external);
}

}  // namespace

std::unique_ptr<onnx::ModelProto> parseOnnx(std::string_view bytes) {
  if (bytes.empty())
    throw Error(ErrorKind::input, "the model is empty", "export or download it again");
  const std::string skimmed = skimOnnx(bytes);
  auto model = std::make_unique<onnx::ModelProto>();
  if (skimmed.size() > INT32_MAX || !model->ParseFromString(skimmed))
    throw Error(ErrorKind::input, "the bytes are not an ONNX model",
                "export or download the file again");
  if (!model->has_graph())
    throw Error(ErrorKind::input, "there is no graph in the file", "give an ONNX model");
  visitExternal(*model, [](const onnx::TensorProto& t) { checkLexical(t, locationOf(t)); });
  return model;
}

namespace {

constexpr int64_t kProbeBytes = 4096;

int64_t externalOffset(const onnx::TensorProto& tensor) {
  for (const auto& entry : tensor.external_data())
    if (entry.key() == "offset" && entry.value().size() < 19 &&
        entry.value().find_first_not_of("0123456789") == std::string::npos)
      return std::stoll("0" + entry.value());
  return 0;
}

/// Small tensors may be shapes and square ones masks: the first bytes of those are read from the
/// data file, as if they stood in the model.
void probeExternal(onnx::TensorProto& tensor, const fs::path& folder) {
  const TensorType type = onnxType(tensor);
  const int64_t bytes = type.bytes().value;
  const size_t rank = type.shape.size();
  const bool small = bytes <= static_cast<int64_t>(kSmallPayload);
  const bool square = rank >= 2 && type.shape[rank - 1] == type.shape[rank - 2];
  if (!small && !square) return;
  std::string head(static_cast<size_t>(small ? bytes : std::min(bytes, kProbeBytes)), '\0');
  const int file = ::open((folder / locationOf(tensor)).c_str(), O_RDONLY);
  if (file < 0) return;
  const ssize_t got = ::pread(file, head.data(), head.size(), externalOffset(tensor));
  ::close(file);
  if (got != static_cast<ssize_t>(head.size())) return;
  if (small) {
    tensor.set_raw_data(std::move(head));
    tensor.clear_data_location();
  } else {
    tensor.set_raw_head(std::move(head));
  }
}

}  // namespace

std::unique_ptr<onnx::ModelProto> readOnnxFile(const std::string& path,
                                               std::vector<std::string>& warnings) {
  const MappedFile file(path);
  auto model = parseOnnx(file.bytes());
  std::error_code code;
  const fs::path parent = fs::path(path).parent_path();
  const fs::path folder = fs::canonical(parent.empty() ? "." : parent, code);
  std::string missing;
  visitExternal(*model, [&](const onnx::TensorProto& t) {
    const std::string location = locationOf(t);
    if (location == missing) return;
    checkResolved(t, location, folder);
    if (!missing.empty() || fs::exists(folder / location, code)) return;
    missing = location;
    warnings.push_back("the weights file '" + location + "' is missing; planning goes on without");
  });
  for (auto& tensor : *model->mutable_graph()->mutable_initializer())
    if (tensor.data_location() == kExternal) probeExternal(tensor, folder);
  return model;
}

DType onnxDType(int code) {
  static constexpr DType kTypes[] = {
      DType::f32, DType::f32, DType::u8,  DType::i8,      DType::i16,  DType::i16,
      DType::i32, DType::i64, DType::u8,  DType::boolean, DType::f16,  DType::f64,
      DType::i32, DType::i64, DType::f64, DType::f64,     DType::bf16, DType::f8,
      DType::f8,  DType::f8,  DType::f8,  DType::i4,      DType::i4,   DType::i4,
      DType::f8,  DType::i4,  DType::i4,  DType::f8,      DType::f8};
  if (code < 1 || code >= static_cast<int>(std::size(kTypes)))
    throw Error(ErrorKind::input, "the element type " + std::to_string(code) + " is unknown",
                "export the model with a known element type");
  return kTypes[code];
}

void checkShape(const Shape& shape) {
  if (shape.size() > kMaxRank)
    throw Error(ErrorKind::input, "a tensor has rank " + std::to_string(shape.size()),
                "ranks up to " + std::to_string(kMaxRank) + " are read");
  checkedMul(elementCount(shape), 8);
}

TensorType onnxType(const onnx::TensorProto& tensor) {
  TensorType type;
  try {
    type.dtype = onnxDType(tensor.data_type());
    type.shape.assign(tensor.dims().begin(), tensor.dims().end());
    checkShape(type.shape);
  } catch (const Error& e) {
    throw e.at("initializer " + tensor.name());
  }
  return type;
}

}  // namespace meshplan
