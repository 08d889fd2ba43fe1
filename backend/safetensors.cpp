// SPDX-License-Identifier: Apache-2.0
#include "backend/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "backend/atomic_file.h"
#include "backend/byte_reader.h"
#include "core/error.h"
#include "core/json_fields.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8, kAlignment = 64;
constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kMaxRank = 16;
constexpr const char* kMetadata = "__metadata__";

[[noreturn]] void reject(const std::string& problem, const std::string& place = {}) {
  throw Error(ErrorKind::input, problem,
              "the file is damaged or no safetensors file; write it again")
      .at(place);
}

struct ElementName {
  DType dtype;
  std::string_view name;
};
constexpr ElementName kNames[] = {
    {DType::f64, "F64"}, {DType::f32, "F32"},      {DType::f16, "F16"},   {DType::bf16, "BF16"},
    {DType::i64, "I64"}, {DType::i32, "I32"},      {DType::i16, "I16"},   {DType::i8, "I8"},
    {DType::u8, "U8"},   {DType::boolean, "BOOL"}, {DType::f8, "F8_E4M3"}};

DType dtypeNamed(const std::string& name) {
  for (const ElementName& e : kNames)
    if (e.name == name) return e.dtype;
  throw Error(ErrorKind::input, "elements of type '" + name.substr(0, 40) + "' are not read",
              "store the tensor as F32, BF16 or I64");
}

std::string_view nameOf(DType dtype) {
  for (const ElementName& e : kNames)
    if (e.dtype == dtype) return e.name;
  throw Error(ErrorKind::internal, "safetensors has no " + std::string(dtypeName(dtype)));
}

/// nlohmann keeps the last of two equal keys; here that is damage.
class UniqueKeys {
 public:
  bool operator()(int depth, json::parse_event_t event, const json& value) {
    if (depth > kMaxDepth) reject("the header nests too deeply");
    if (event == json::parse_event_t::object_start) seen_.emplace_back();
    if (event == json::parse_event_t::object_end) seen_.pop_back();
    if (event == json::parse_event_t::key && !seen_.back().insert(value.get<std::string>()).second)
      reject("the name '" + value.get<std::string>().substr(0, 100) + "' occurs twice");
    return true;
  }

 private:
  static constexpr int kMaxDepth = 4;
  std::vector<std::set<std::string>> seen_;
};

json parseHeader(std::string_view text) {
  if (text.empty() || text[0] != '{') reject("the header is no JSON object");
  UniqueKeys unique;
  try {
    return json::parse(text, std::ref(unique));
  } catch (const json::exception&) {
    reject("the header is not JSON");
  }
}

struct Range {
  uint64_t begin = 0, end = 0;
};

Range rangeOf(JsonFields& fields) {
  const json& offsets = fields.array("data_offsets");
  if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
    fields.reject("data_offsets", "is not two offsets", "write the file again");
  return {offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>()};
}

Shape shapeOf(JsonFields& fields) {
  Shape shape;
  for (const json& extent : fields.array("shape")) {
    if (!extent.is_number_unsigned() || extent.get<uint64_t>() > INT64_MAX ||
        shape.size() == kMaxRank)
      fields.reject("shape", "is no list of at most 16 extents", "write the file again");
    shape.push_back(extent.get<int64_t>());
  }
  return shape;
}

struct Placed {
  NamedTensor tensor;
  Range range;
};

Placed placedTensor(const std::string& name, const json& entry, std::string_view data) {
  JsonFields fields(entry, "tensor '" + name.substr(0, 100) + "'");
  const DType dtype = dtypeNamed(fields.text("dtype"));
  const TensorType type{dtype, shapeOf(fields)};
  const Range range = rangeOf(fields);
  fields.finish();
  if (range.begin > range.end || range.end > data.size())
    reject("the data lies outside of the file", fields.place());
  if (range.end - range.begin != static_cast<uint64_t>(type.bytes().value))
    reject("the shape " + shapeText(type.shape) + " does not fit the size of the data",
           fields.place());
  char* begin = const_cast<char*>(data.data()) + range.begin;
  return {{name, {type.elements() > 0 ? begin : nullptr, type}}, range};
}

void checkNoGaps(std::vector<Placed> placed, uint64_t size) {
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.range.begin, a.range.end) < std::pair(b.range.begin, b.range.end);
  });
  uint64_t end = 0;
  for (const Placed& p : placed) {
    if (p.range.begin != end)
      reject(
          p.range.begin < end ? "the data overlaps another tensor's" : "there is a gap before it",
          "tensor '" + p.tensor.name.substr(0, 100) + "'");
    end = p.range.end;
  }
  if (end != size) reject(std::to_string(size - end) + " bytes belong to no tensor");
}

void readMetadata(const json& entries, Metadata& metadata) {
  if (!entries.is_object()) reject("the metadata is no JSON object");
  for (const auto& [key, value] : entries.items()) {
    if (!value.is_string()) reject("the metadata '" + key.substr(0, 100) + "' is no text");
    metadata[key] = value.get<std::string>();
  }
}

std::string headerOf(const std::vector<NamedTensor>& tensors, const Metadata& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  int64_t offset = 0;
  for (const NamedTensor& t : tensors) {
    const int64_t end = checkedAdd(offset, t.view.type.bytes().value);
    if (header.contains(t.name))
      throw Error(ErrorKind::internal, "two tensors are called '" + t.name + "'");
    header[t.name] = {{"dtype", nameOf(t.view.type.dtype)},
                      {"shape", t.view.type.shape},
                      {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.append(kAlignment - 1 - (kLengthBytes + text.size() + kAlignment - 1) % kAlignment, ' ');
  return text;
}

}  // namespace

std::vector<NamedTensor> safetensorsFromBytes(std::string_view bytes, Metadata& metadata) {
  if (bytes.size() < kLengthBytes) reject("the file is too short");
  const auto length = numberAt<uint64_t>(bytes, 0);
  if (length > kMaxHeader || length > bytes.size() - kLengthBytes)
    reject("the header of " + std::to_string(length) + " bytes is too long");
  const json header = parseHeader(bytes.substr(kLengthBytes, length));
  const std::string_view data = bytes.substr(kLengthBytes + length);
  std::vector<Placed> placed;
  for (const auto& [name, entry] : header.items())
    if (name == kMetadata)
      readMetadata(entry, metadata);
    else
      placed.push_back(placedTensor(name, entry, data));
  checkNoGaps(placed, data.size());
  std::vector<NamedTensor> tensors;
  for (Placed& p : placed) tensors.push_back(std::move(p.tensor));
  return tensors;
}

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path), file_(path) {
  try {
    tensors_ = safetensorsFromBytes(file_.bytes(), metadata_);
  } catch (const Error& e) {
    throw e.inFile(path);
  }
}

const NamedTensor* SafetensorsFile::find(std::string_view name) const {
  const auto at =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const NamedTensor& t, std::string_view n) { return t.name < n; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

HostTensor SafetensorsFile::read(std::string_view name, const TensorType& type) const {
  const NamedTensor* found = find(name);
  const auto refuse = [&](const std::string& problem) {
    return Error(ErrorKind::input, problem, "give a checkpoint of this model")
        .at("tensor '" + std::string(name) + "'")
        .inFile(path_);
  };
  if (!found) throw refuse("is missing");
  const TensorType& stored = found->view.type;
  if (stored != type)
    throw refuse("is " + std::string(dtypeName(stored.dtype)) + shapeText(stored.shape) + ", not " +
                 std::string(dtypeName(type.dtype)) + shapeText(type.shape));
  HostTensor tensor(type);
  if (found->view.data) std::memcpy(tensor.bytes().data(), found->view.data, tensor.bytes().size());
  return tensor;
}

void writeSafetensors(const std::string& path, std::vector<NamedTensor> tensors,
                      const Metadata& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    const int64_t wa = dtypeBytes(a.view.type.dtype), wb = dtypeBytes(b.view.type.dtype);
    return wa != wb ? wa > wb : a.name < b.name;
  });
  const std::string header = headerOf(tensors, metadata);
  const uint64_t length = header.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const NamedTensor& t : tensors)
    file.write({static_cast<const std::byte*>(t.view.data),
                static_cast<size_t>(t.view.type.bytes().value)});
  file.commit();
}

}  // namespace meshplan
