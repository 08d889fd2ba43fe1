// SPDX-License-Identifier: Apache-2.0
#include "backend/npy.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>

#include "backend/atomic_file.h"
#include "backend/byte_reader.h"
#include "core/error.h"
#include "core/mapped_file.h"

namespace meshplan {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeader = 1 << 20, kMaxRank = 16, kAlignment = 64;

[[noreturn]] void reject(const std::string& problem) {
  throw Error(ErrorKind::input, problem, "save the array again with numpy.save");
}

struct Header {
  std::string descr;
  bool fortran = false;
  Shape shape;
};

/// The header is a Python dictionary with exactly three known keys.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  Header parse() {
    Header header;
    expect('{');
    int descr = 0, order = 0, shape = 0;
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && ++descr)
        header.descr = quoted();
      else if (key == "fortran_order" && ++order)
        header.fortran = boolean();
      else if (key == "shape" && ++shape)
        header.shape = tuple();
      else
        reject("the header has the unknown key '" + key.substr(0, 40) + "'");
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skipSpace();
    if (at_ != text_.size() || descr != 1 || order != 1 || shape != 1) fail();
    return header;
  }

 private:
  [[noreturn]] void fail() const { reject("the header is not what NumPy writes"); }
  void skipSpace() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool accept(char c) {
    skipSpace();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail();
  }
  std::string quoted() {
    const char quote = accept('\'') ? '\'' : accept('"') ? '"' : '\0';
    const size_t end = quote ? text_.find(quote, at_) : std::string_view::npos;
    if (end == std::string_view::npos)
      reject("elements are structured or the header is not what NumPy writes");
    const std::string word(text_.substr(at_, end - at_));
    at_ = end + 1;
    return word;
  }
  bool boolean() {
    skipSpace();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return word == "True";
    }
    fail();
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      shape.push_back(number());
      if (shape.size() > kMaxRank) reject("the array has more than 16 dimensions");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }
  int64_t number() {
    skipSpace();
    int64_t value = 0;
    const size_t start = at_;
    for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])); ++at_)
      value = checkedAdd(checkedMul(value, 10), text_[at_] - '0');
    if (at_ == start) fail();
    accept('L');  // Python 2 wrote long integers so
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct ElementType {
  std::string_view name;  // without the byte order
  DType stored, dtype;
};

/// u2 and u4 are read as the signed type of their size and widened afterwards.
constexpr ElementType kTypes[] = {
    {"f8", DType::f64, DType::f64},         {"f4", DType::f32, DType::f32},
    {"f2", DType::f16, DType::f16},         {"i8", DType::i64, DType::i64},
    {"i4", DType::i32, DType::i32},         {"i2", DType::i16, DType::i16},
    {"i1", DType::i8, DType::i8},           {"u1", DType::u8, DType::u8},
    {"b1", DType::boolean, DType::boolean}, {"u2", DType::i16, DType::i32},
    {"u4", DType::i32, DType::i64}};

const ElementType& elementType(const std::string& descr) {
  for (const ElementType& t : kTypes)
    if (descr.size() == 3 && std::string_view(descr).substr(1) == t.name &&
        (std::strchr("<>=", descr[0]) || (descr[0] == '|' && dtypeBytes(t.stored) == 1)))
      return t;
  reject("elements of type '" + descr.substr(0, 40) + "' are not read");
}

/// Elements as they follow in Fortran order, put into C order.
HostTensor transposedFromFortran(const HostTensor& columns) {
  const Shape& shape = columns.shape();
  HostTensor rows(columns.type());
  const auto width = static_cast<size_t>(dtypeBytes(columns.type().dtype));
  const int64_t count = columns.elements();
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, target = 0, step = 1;
    std::vector<int64_t> index(shape.size());
    for (size_t d = 0; d < shape.size(); ++d) {
      index[d] = rest % shape[d];
      rest /= shape[d];
    }
    for (size_t d = shape.size(); d-- > 0;) {
      target += index[d] * step;
      step *= shape[d];
    }
    std::memcpy(rows.bytes().data() + static_cast<size_t>(target) * width,
                columns.bytes().data() + static_cast<size_t>(i) * width, width);
  }
  return rows;
}

template <class From, class To>
HostTensor widened(const HostTensor& tensor, DType dtype) {
  HostTensor wide(TensorType{dtype, tensor.shape()});
  const auto from = tensor.as<From>();
  std::copy(from.begin(), from.end(), wide.as<To>().begin());
  return wide;
}

HostTensor readElements(const Header& header, std::string_view data) {
  const ElementType& element = elementType(header.descr);
  const TensorType type{element.stored, header.shape};
  if (static_cast<uint64_t>(type.bytes().value) != data.size())
    reject("there are " + std::to_string(data.size()) + " bytes of data where the shape " +
           shapeText(header.shape) + " needs " + std::to_string(type.bytes().value));
  HostTensor tensor(type);
  if (!data.empty()) std::memcpy(tensor.bytes().data(), data.data(), data.size());
  if (header.descr[0] == '>')
    swapBytes(tensor.bytes(), static_cast<size_t>(dtypeBytes(type.dtype)));
  if (header.fortran && type.shape.size() > 1) tensor = transposedFromFortran(tensor);
  if (element.name == "u2") return widened<uint16_t, int32_t>(tensor, element.dtype);
  if (element.name == "u4") return widened<uint32_t, int64_t>(tensor, element.dtype);
  return tensor;
}

std::string_view descrOf(DType dtype) {
  for (const ElementType& t : kTypes)
    if (t.stored == dtype) return t.name;
  throw Error(ErrorKind::input, "NumPy has no " + std::string(dtypeName(dtype)),
              "convert the tensor to fp32");
}

}  // namespace

HostTensor npyFromBytes(std::string_view bytes) {
  if (bytes.size() < 10 || bytes.substr(0, 6) != kMagic) reject("is not a NumPy array");
  const auto version = static_cast<uint8_t>(bytes[6]);
  if (version < 1 || version > 3) reject("version " + std::to_string(version) + " is unknown");
  const size_t start = version == 1 ? 10 : 12;
  if (bytes.size() < start) reject("the file ends inside its header");
  const size_t length = version == 1 ? numberAt<uint16_t>(bytes, 8) : numberAt<uint32_t>(bytes, 8);
  if (length > kMaxHeader || length > bytes.size() - start)
    reject("the file ends inside its header");
  const Header header = HeaderParser(bytes.substr(start, length)).parse();
  return readElements(header, bytes.substr(start + length));
}

HostTensor readNpy(const std::string& path) {
  const MappedFile file(path);
  try {
    return npyFromBytes(file.bytes());
  } catch (const Error& e) {
    throw e.inFile(path);
  }
}

std::string npyToBytes(const HostTensor& tensor) {
  if (tensor.type().dtype == DType::bf16) return npyToBytes(converted(tensor, DType::f32));
  std::string header = "{'descr': '";
  header += dtypeBytes(tensor.type().dtype) == 1 ? '|' : '<';
  header += std::string(descrOf(tensor.type().dtype)) + "', 'fortran_order': False, 'shape': (";
  for (int64_t extent : tensor.shape()) header += std::to_string(extent) + ", ";
  if (tensor.shape().size() > 1) header.resize(header.size() - 2);
  header += "), }";
  constexpr size_t kPrefix = 10;
  header.append(kAlignment - 1 - (kPrefix + header.size()) % kAlignment, ' ');
  header += '\n';
  std::string out(kMagic);
  out +=
      {'\1', '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  out += header;
  out.append(reinterpret_cast<const char*>(tensor.bytes().data()), tensor.bytes().size());
  return out;
}

void writeNpy(const std::string& path, const HostTensor& tensor) {
  AtomicFile file(path);
  file.write(npyToBytes(tensor));
  file.commit();
}

}  // namespace meshplan
