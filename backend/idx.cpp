// SPDX-License-Identifier: Apache-2.0
#include "backend/idx.h"

#include <cstring>

#include "backend/byte_reader.h"
#include "core/error.h"
#include "core/mapped_file.h"

namespace meshplan {
namespace {

constexpr size_t kMaxRank = 16;

[[noreturn]] void reject(const std::string& problem, const std::string& remedy = {}) {
  throw Error(ErrorKind::input, problem, remedy.empty() ? "download the file again" : remedy);
}

DType dtypeOf(uint8_t code) {
  switch (code) {
    case 0x08:
      return DType::u8;
    case 0x09:
      return DType::i8;
    case 0x0b:
      return DType::i16;
    case 0x0c:
      return DType::i32;
    case 0x0d:
      return DType::f32;
    case 0x0e:
      return DType::f64;
    default:
      reject("the element type " + std::to_string(code) + " of the IDX file is unknown");
  }
}

TensorType typeOf(std::string_view bytes) {
  TensorType type{dtypeOf(static_cast<uint8_t>(bytes[2])), {}};
  const auto rank = static_cast<uint8_t>(bytes[3]);
  if (rank > kMaxRank) reject("the IDX file has " + std::to_string(rank) + " dimensions");
  if (bytes.size() < 4 + 4 * size_t{rank}) reject("the IDX file ends inside its header");
  for (size_t i = 0; i < rank; ++i)
    type.shape.push_back(numberAt<uint32_t>(bytes, 4 + 4 * i, true));
  return type;
}

}  // namespace

HostTensor idxFromBytes(std::string_view bytes) {
  if (bytes.substr(0, 2) == "\x1f\x8b") reject("is compressed", "unpack it with gunzip");
  if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0) reject("is not an IDX file");
  const TensorType type = typeOf(bytes);
  const std::string_view data = bytes.substr(4 + 4 * type.shape.size());
  if (static_cast<uint64_t>(type.bytes().value) != data.size())
    reject("there are " + std::to_string(data.size()) + " bytes of data where the shape " +
           shapeText(type.shape) + " needs " + std::to_string(type.bytes().value));
  HostTensor tensor(type);
  if (!data.empty()) std::memcpy(tensor.bytes().data(), data.data(), data.size());
  swapBytes(tensor.bytes(), static_cast<size_t>(dtypeBytes(type.dtype)));
  return tensor;
}

HostTensor readIdx(const std::string& path) {
  const MappedFile file(path);
  try {
    return idxFromBytes(file.bytes());
  } catch (const Error& e) {
    throw e.inFile(path);
  }
}

}  // namespace meshplan
