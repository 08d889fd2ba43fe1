// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_wire.h"

#include <cstdint>
#include <span>
#include <utility>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr int kMaxDepth = 90;         // messages; protobuf itself refuses 100
constexpr size_t kHeadBytes = 4096;   // of a long raw payload
constexpr uint32_t kRawHead = 50001;  // TensorProto.raw_head
constexpr uint32_t kPayloadOffset = 50002, kPayloadSize = 50003, kPayloadField = 50004;
constexpr int64_t kSmallCount = 1024;

enum class Rule : uint8_t { copy, descend, payload, rawPayload };

struct Message;

struct Field {
  uint32_t number;
  Rule rule = Rule::copy;
  const Message* message = nullptr;
};

struct Message {
  std::span<const Field> fields;
};

extern const Message kGraph;

constexpr Field kTensorFields[] = {{1},
                                   {2},
                                   {4, Rule::payload},
                                   {5, Rule::payload},
                                   {7, Rule::payload},
                                   {8},
                                   {9, Rule::rawPayload},
                                   {10, Rule::payload},
                                   {11, Rule::payload},
                                   {13},
                                   {14}};
constexpr Message kTensor{kTensorFields};
constexpr Field kSparseFields[] = {{1, Rule::descend, &kTensor}, {3}};
constexpr Message kSparse{kSparseFields};
constexpr Field kAttributeFields[] = {
    {1}, {2}, {3},  {4},  {5, Rule::descend, &kTensor}, {6, Rule::descend, &kGraph}, {7},
    {8}, {9}, {20}, {21}, {22, Rule::descend, &kSparse}};
constexpr Message kAttribute{kAttributeFields};
constexpr Field kNodeFields[] = {{1}, {2}, {3}, {4}, {5, Rule::descend, &kAttribute},
                                 {7}, {8}, {9}};
constexpr Message kNode{kNodeFields};
constexpr Field kGraphFields[] = {
    {1, Rule::descend, &kNode},   {2}, {5, Rule::descend, &kTensor}, {11}, {12}, {13},
    {15, Rule::descend, &kSparse}};
const Message kGraph{kGraphFields};
constexpr Field kFunctionFields[] = {
    {1},  {4}, {5}, {6}, {7, Rule::descend, &kNode}, {9}, {10}, {11, Rule::descend, &kAttribute},
    {12}, {13}};
constexpr Message kFunction{kFunctionFields};
const Field kModelFields[] = {
    {1}, {2}, {3}, {7, Rule::descend, &kGraph}, {8}, {25, Rule::descend, &kFunction}};
const Message kModel{kModelFields};

[[noreturn]] void reject(size_t offset, const std::string& problem) {
  throw Error(ErrorKind::input, problem + " at byte " + std::to_string(offset),
              "the file is damaged or not an ONNX model; export or download it again");
}

void writeVarint(std::string& out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
  out.push_back(static_cast<char>(v));
}

class Skimmer {
 public:
  explicit Skimmer(std::string_view bytes) : bytes_(bytes) {}

  std::string message(size_t begin, size_t end, const Message& schema, int depth) {
    if (depth > kMaxDepth)
      throw Error(ErrorKind::input,
                  "messages nest deeper than " + std::to_string(kMaxDepth) + " levels",
                  "flatten nested subgraphs (If, Loop, Scan) and export the model again");
    std::string out;
    int64_t scalars = 0;
    for (size_t at = begin; at < end;) at = field(at, end, schema, depth, out, scalars);
    return out;
  }

 private:
  uint64_t varint(size_t& at, size_t end) const {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at >= end) reject(at, "the data ends inside a number");
      const auto byte = static_cast<uint8_t>(bytes_[at++]);
      value |= shift < 64 ? uint64_t(byte & 0x7f) << shift : 0;
      if (byte < 0x80) return value;
    }
    reject(at, "a number is too long");
  }

  /// The end of the value of a field that starts at `at`; `at` moves behind the length.
  size_t valueEnd(uint32_t wire, size_t& at, size_t end) const {
    uint64_t size = 0;
    size_t probe = at;
    switch (wire) {
      case 0:
        varint(probe, end);
        return probe;
      case 1:
        size = 8;
        break;
      case 2:
        size = varint(at, end);
        break;
      case 5:
        size = 4;
        break;
      default:
        reject(at, "an unknown kind of field");
    }
    if (size > end - at) reject(at, "the data ends inside a field");
    return at + size;
  }

  static const Field* find(const Message& schema, uint64_t number) {
    for (const Field& f : schema.fields)
      if (f.number == number) return &f;
    return nullptr;
  }

  size_t field(size_t at, size_t end, const Message& schema, int depth, std::string& out,
               int64_t& scalars) {
    const size_t start = at;
    const uint64_t tag = varint(at, end);
    const auto wire = static_cast<uint32_t>(tag & 7);
    if (tag >> 3 == 0 || tag >> 32) reject(start, "an invalid field number");
    const size_t stop = valueEnd(wire, at, end);
    if (const Field* f = find(schema, tag >> 3))
      keep(*f, wire, start, at, stop, depth, out, scalars);
    return stop;
  }

  void keep(const Field& f, uint32_t wire, size_t start, size_t at, size_t stop, int depth,
            std::string& out, int64_t& scalars) {
    const bool bulk = f.rule == Rule::payload || f.rule == Rule::rawPayload;
    if (f.rule == Rule::descend && wire == 2) {
      append(out, f.number, message(at, stop, *f.message, depth + 1));
    } else if (bulk && (stop - at > kSmallPayload || (wire != 2 && ++scalars > kSmallCount))) {
      if (f.rule == Rule::rawPayload)
        append(out, kRawHead, std::string(bytes_.substr(at, kHeadBytes)));
      if (wire == 2) place(out, f.number, at, stop - at);
    } else {
      out.append(bytes_.substr(start, stop - start));
    }
  }

  static void place(std::string& out, uint32_t field, size_t offset, size_t size) {
    for (const auto& [number, value] : {std::pair<uint32_t, uint64_t>{kPayloadOffset, offset},
                                        {kPayloadSize, size},
                                        {kPayloadField, field}}) {
      writeVarint(out, uint64_t(number) << 3);
      writeVarint(out, value);
    }
  }

  static void append(std::string& out, uint32_t number, const std::string& value) {
    writeVarint(out, uint64_t(number) << 3 | 2);
    writeVarint(out, value.size());
    out += value;
  }

  std::string_view bytes_;
};

}  // namespace

std::string skimOnnx(std::string_view bytes) {
  return Skimmer(bytes).message(0, bytes.size(), kModel, 0);
}

}  // namespace meshplan
