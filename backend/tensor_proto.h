// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "backend/host_tensor.h"

namespace meshplan {

namespace onnx {
class TensorProto;
}

/// ONNX's TensorProto with its values, in every encoding that ONNX allows. Unsigned integers keep
/// their bits in the signed type of their size. Throws Error(input): no plain numbers (strings,
/// complex, 8-bit floats, 4-bit integers), values missing or left over, external data.
HostTensor tensorFromProto(const onnx::TensorProto& tensor);
/// The same with the values in `payload`, the bytes of TensorProto's field `field`.
HostTensor tensorFromPayload(const onnx::TensorProto& tensor, uint32_t field,
                             std::string_view payload);

/// A file that holds one TensorProto, as ONNX's conformance cases do (input_0.pb).
HostTensor readTensorProto(const std::string& path);
HostTensor tensorProtoFromBytes(std::string_view bytes);
/// `code` is the TensorProto.DataType to write where it stands for the tensor's dtype (unsigned
/// types do for the signed ones).
void writeTensorProto(const std::string& path, const HostTensor& tensor, const std::string& name,
                      int code = 0);
std::string tensorProtoToBytes(const HostTensor& tensor, const std::string& name, int code = 0);

/// TensorProto.DataType of a dtype. Throws Error(input) where ONNX has none.
int onnxCode(DType dtype);

}  // namespace meshplan
