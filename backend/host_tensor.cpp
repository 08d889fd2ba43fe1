// SPDX-License-Identifier: Apache-2.0
#include "backend/host_tensor.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "backend/bfloat16.h"
#include "backend/half.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr size_t kAlignment = 64;

/// Calls f with a value of the element type.
template <class F>
auto withElement(DType dtype, F f) {
  switch (dtype) {
    case DType::f64:
      return f(double{});
    case DType::f32:
    case DType::tf32:
      return f(float{});
    case DType::f16:
      return f(Half{});
    case DType::bf16:
      return f(BFloat16{});
    case DType::i64:
      return f(int64_t{});
    case DType::i32:
      return f(int32_t{});
    case DType::i16:
      return f(int16_t{});
    case DType::i8:
      return f(int8_t{});
    case DType::u8:
      return f(uint8_t{});
    case DType::boolean:
      return f(bool{});
    default:
      throw Error(ErrorKind::input,
                  "elements of type " + std::string(dtypeName(dtype)) + " cannot be converted",
                  "store the tensor as fp32");
  }
}

template <class T>
double number(T v) {
  return static_cast<double>(v);
}

template <class T>
T element(double v) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return T(static_cast<float>(v));
  else if constexpr (std::is_same_v<T, bool>)
    return v != 0;
  else if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(v);
  else if (std::isnan(v))
    return 0;
  else if (v >= 9223372036854775808.0)
    return static_cast<T>(std::numeric_limits<int64_t>::max());
  else if (v < -9223372036854775808.0)
    return static_cast<T>(std::numeric_limits<int64_t>::min());
  else
    return static_cast<T>(static_cast<int64_t>(v));
}

template <class From, class To>
To convertedElement(From v) {
  if constexpr (std::is_same_v<From, To>)
    return v;
  else if constexpr (std::is_integral_v<From> && std::is_integral_v<To> &&
                     !std::is_same_v<To, bool>)
    return static_cast<To>(v);
  else
    return element<To>(number(v));
}

}  // namespace

void HostTensor::Free::operator()(void* p) const {
  std::free(p);
}

std::byte* HostTensor::data() const {
  const auto begin = reinterpret_cast<uintptr_t>(allocation_.get());
  return reinterpret_cast<std::byte*>((begin + kAlignment - 1) / kAlignment * kAlignment);
}

HostTensor::HostTensor(TensorType type) : type_(std::move(type)) {
  size_ = static_cast<size_t>(type_.bytes().value);
  if (size_ == 0) return;
  // calloc leaves large memory untouched: its pages are zero when they are first used.
  allocation_.reset(std::calloc(size_ + kAlignment - 1, 1));
  if (!allocation_) throw std::bad_alloc();
}

HostTensor::HostTensor(const HostTensor& other) : HostTensor(other.type_) {
  if (size_ > 0) std::memcpy(data(), other.data(), size_);
}

HostTensor& HostTensor::operator=(const HostTensor& other) {
  if (this != &other) *this = HostTensor(other);
  return *this;
}

void HostTensor::reshape(Shape shape) {
  if (elementCount(shape) != elements())
    throw Error(ErrorKind::internal, "a tensor cannot change its number of elements");
  type_.shape = std::move(shape);
}

std::vector<double> toDoubles(const HostTensor& tensor) {
  return withElement(tensor.type().dtype, [&](auto zero) {
    using T = decltype(zero);
    std::vector<double> values;
    values.reserve(static_cast<size_t>(tensor.elements()));
    for (T v : tensor.as<T>()) values.push_back(number(v));
    return values;
  });
}

HostTensor fromDoubles(TensorType type, std::span<const double> values) {
  HostTensor tensor(std::move(type));
  if (values.size() != static_cast<size_t>(tensor.elements()))
    throw Error(ErrorKind::internal, "as many values as elements are needed");
  withElement(tensor.type().dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto to = tensor.as<T>();
    for (size_t i = 0; i < to.size(); ++i) to[i] = element<T>(values[i]);
  });
  return tensor;
}

HostTensor converted(const HostTensor& tensor, DType to) {
  HostTensor result(TensorType{to, tensor.shape()});
  withElement(tensor.type().dtype, [&](auto fromZero) {
    using From = decltype(fromZero);
    withElement(to, [&](auto toZero) {
      using To = decltype(toZero);
      const auto in = tensor.as<From>();
      const auto out = result.as<To>();
      for (size_t i = 0; i < in.size(); ++i) out[i] = convertedElement<From, To>(in[i]);
    });
  });
  return result;
}

float halfToFloat(uint16_t bits) {
  return Half::widened(bits);
}

uint16_t floatToHalf(float value) {
  return Half::narrowed(value);
}

}  // namespace meshplan
