// SPDX-License-Identifier: Apache-2.0
#include "backend/tensor_proto.h"

#include <algorithm>
#include <cstring>

#include "backend/atomic_file.h"
#include "core/error.h"
#include "core/import/onnx.pb.h"
#include "core/import/onnx_reader.h"
#include "core/mapped_file.h"

namespace meshplan {
namespace {

// Fields of TensorProto.
constexpr uint32_t kFloats = 4, kInts = 5, kLongs = 7, kRaw = 9, kDoubles = 10, kUnsigned = 11;

[[noreturn]] void reject(const onnx::TensorProto& t, const std::string& problem) {
  throw Error(ErrorKind::input, problem, "export the tensor again").at("tensor " + t.name());
}

/// The codes of TensorProto.DataType that are plain numbers of whole bytes.
bool isPlain(int code) {
  return (code >= 1 && code <= 7) || (code >= 9 && code <= 13) || code == 16;
}

TensorType plainType(const onnx::TensorProto& t) {
  if (!isPlain(t.data_type()))
    throw Error(ErrorKind::input,
                "elements of ONNX type " + std::to_string(t.data_type()) + " are not read",
                "export the model with fp32, fp16, bf16 or integer tensors")
        .at("tensor " + t.name());
  return onnxType(t);
}

HostTensor fromRaw(const onnx::TensorProto& t, std::string_view raw) {
  const TensorType type = plainType(t);
  const int64_t needed = type.bytes().value;
  if (static_cast<int64_t>(raw.size()) != needed)
    reject(t, "has " + std::to_string(raw.size()) + " bytes where the shape " +
                  shapeText(type.shape) + " needs " + std::to_string(needed));
  HostTensor tensor(type);
  if (!raw.empty()) std::memcpy(tensor.bytes().data(), raw.data(), raw.size());
  return tensor;
}

/// The type, of which there may be up to `most` values: nothing is allocated for a damaged shape.
TensorType typeOfAtMost(const onnx::TensorProto& t, size_t most) {
  TensorType type = plainType(t);
  if (type.elements() > static_cast<int64_t>(most)) reject(t, "has fewer values than its shape");
  return type;
}

/// The bits of each value, cut to the width of the element.
class BitWriter {
 public:
  BitWriter(const onnx::TensorProto& t, size_t most) : proto_(t), tensor_(typeOfAtMost(t, most)) {
    width_ = static_cast<size_t>(dtypeBytes(tensor_.type().dtype));
  }
  void push(uint64_t bits) {
    if (at_ + width_ > tensor_.bytes().size()) reject(proto_, "has more values than its shape");
    std::memcpy(tensor_.bytes().data() + at_, &bits, width_);
    at_ += width_;
  }
  HostTensor finish() {
    if (at_ != tensor_.bytes().size()) reject(proto_, "has fewer values than its shape");
    return std::move(tensor_);
  }

 private:
  const onnx::TensorProto& proto_;
  HostTensor tensor_;
  size_t width_ = 0, at_ = 0;
};

template <class Values>
HostTensor fromNumbers(const onnx::TensorProto& t, const Values& values) {
  BitWriter writer(t, static_cast<size_t>(values.size()));
  for (const auto v : values) writer.push(static_cast<uint64_t>(v));
  return writer.finish();
}

HostTensor fromVarints(const onnx::TensorProto& t, std::string_view bytes) {
  BitWriter writer(t, bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      if (at >= bytes.size() || shift > 63) reject(t, "holds a damaged number");
      const auto byte = static_cast<uint8_t>(bytes[at++]);
      value |= uint64_t(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    writer.push(value);
  }
  return writer.finish();
}

/// The field in which values of a type stand when they are not raw.
uint32_t fieldOf(int code) {
  switch (code) {
    case 1:
      return kFloats;
    case 11:
      return kDoubles;
    case 7:
      return kLongs;
    case 12:
    case 13:
      return kUnsigned;
    default:
      return kInts;
  }
}

template <class T>
std::string_view bytesOf(const google::protobuf::RepeatedField<T>& values) {
  return {reinterpret_cast<const char*>(values.data()),
          static_cast<size_t>(values.size()) * sizeof(T)};
}

}  // namespace

HostTensor tensorFromPayload(const onnx::TensorProto& t, uint32_t field, std::string_view payload) {
  if (field == kRaw) return fromRaw(t, payload);
  if (field != fieldOf(t.data_type())) reject(t, "has its values in the wrong field");
  if (field == kFloats || field == kDoubles) return fromRaw(t, payload);
  return fromVarints(t, payload);
}

HostTensor tensorFromProto(const onnx::TensorProto& t) {
  if (t.data_location() != 0) reject(t, "has its values in another file");
  if (t.has_raw_data()) return fromRaw(t, t.raw_data());
  switch (fieldOf(t.data_type())) {
    case kFloats:
      return fromRaw(t, bytesOf(t.float_data()));
    case kDoubles:
      return fromRaw(t, bytesOf(t.double_data()));
    case kLongs:
      return fromNumbers(t, t.int64_data());
    case kUnsigned:
      return fromNumbers(t, t.uint64_data());
    default:
      return fromNumbers(t, t.int32_data());
  }
}

HostTensor tensorProtoFromBytes(std::string_view bytes) {
  onnx::TensorProto proto;
  if (bytes.size() > INT32_MAX ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !proto.has_data_type())
    throw Error(ErrorKind::input, "is not an ONNX tensor", "give a .pb file with a TensorProto");
  return tensorFromProto(proto);
}

HostTensor readTensorProto(const std::string& path) {
  const MappedFile file(path);
  try {
    return tensorProtoFromBytes(file.bytes());
  } catch (const Error& e) {
    throw e.inFile(path);
  }
}

int onnxCode(DType dtype) {
  for (const int code : {1, 2, 3, 5, 6, 7, 9, 10, 11, 16})
    if (onnxDType(code) == dtype) return code;
  throw Error(ErrorKind::input,
              "ONNX files of " + std::string(dtypeName(dtype)) + " are not written",
              "convert the tensor to fp32");
}

std::string tensorProtoToBytes(const HostTensor& tensor, const std::string& name, int code) {
  onnx::TensorProto proto;
  for (int64_t extent : tensor.shape()) proto.add_dims(extent);
  const bool fits = isPlain(code) && onnxDType(code) == tensor.type().dtype;
  proto.set_data_type(fits ? code : onnxCode(tensor.type().dtype));
  proto.set_name(name);
  proto.set_raw_data(tensor.bytes().data(), tensor.bytes().size());
  return proto.SerializeAsString();
}

void writeTensorProto(const std::string& path, const HostTensor& tensor, const std::string& name,
                      int code) {
  AtomicFile file(path);
  file.write(tensorProtoToBytes(tensor, name, code));
  file.commit();
}

}  // namespace meshplan
