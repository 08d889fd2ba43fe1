// SPDX-License-Identifier: Apache-2.0
#include "backend/onnx_file.h"

#include <charconv>
#include <filesystem>

#include "backend/tensor_proto.h"
#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_reader.h"

namespace meshplan {
namespace {

constexpr uint32_t kRaw = 9;  // TensorProto.raw_data

std::string entryOf(const onnx::TensorProto& tensor, std::string_view key) {
  for (const auto& entry : tensor.external_data())
    if (entry.key() == key) return entry.value();
  return {};
}

uint64_t numberOf(const onnx::TensorProto& tensor, std::string_view key, uint64_t fallback) {
  const std::string text = entryOf(tensor, key);
  if (text.empty()) return fallback;
  uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size())
    throw Error(ErrorKind::input, "the " + std::string(key) + " of the external data is no number",
                "export the model again")
        .at("tensor " + tensor.name());
  return value;
}

}  // namespace

OnnxFileReader::OnnxFileReader(const std::string& path) : path_(path), file_(path) {
  try {
    std::vector<std::string> warnings;
    model_ = readOnnxFile(path, warnings);
  } catch (const Error& e) {
    throw e.inFile(path);
  }
}

OnnxFileReader::~OnnxFileReader() = default;

std::string OnnxFileReader::externalPath(const onnx::TensorProto& tensor) const {
  return (std::filesystem::path(path_).parent_path() / entryOf(tensor, "location")).string();
}

bool OnnxFileReader::hasValues(const onnx::TensorProto& t) const {
  if (t.data_location() != 0) return std::filesystem::exists(externalPath(t));
  return t.has_payload_field() || !t.raw_data().empty() || t.float_data_size() > 0 ||
         t.int32_data_size() > 0 || t.int64_data_size() > 0 || t.double_data_size() > 0 ||
         t.uint64_data_size() > 0 || onnxType(t).elements() == 0;
}

HostTensor OnnxFileReader::readExternal(const onnx::TensorProto& tensor) const {
  const MappedFile data(externalPath(tensor));
  const uint64_t size = static_cast<uint64_t>(onnxType(tensor).bytes().value);
  const uint64_t offset = numberOf(tensor, "offset", 0), length = numberOf(tensor, "length", size);
  if (offset > data.bytes().size() || length > data.bytes().size() - offset)
    throw Error(ErrorKind::input, "the external data ends before the tensor does",
                "copy the data file again, together with the model")
        .at("tensor " + tensor.name());
  return tensorFromPayload(tensor, kRaw, data.bytes().substr(offset, length));
}

HostTensor OnnxFileReader::read(const onnx::TensorProto& tensor) const {
  try {
    if (tensor.data_location() != 0) return readExternal(tensor);
    if (!tensor.has_payload_field()) return tensorFromProto(tensor);
    const std::string_view payload =
        file_.bytes().substr(tensor.payload_offset(), tensor.payload_size());
    return tensorFromPayload(tensor, tensor.payload_field(), payload);
  } catch (const Error& e) {
    throw e.inFile(path_);
  }
}

}  // namespace meshplan
