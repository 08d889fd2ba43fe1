// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace meshplan {

namespace onnx {
class ModelProto;
class TensorProto;
}  // namespace onnx

/// Reads ONNX files without their weights. The file is mapped and skimmed, so neither its size nor
/// its external data costs memory. Throws Error(input): not a readable regular file, empty,
/// truncated or foreign bytes, no graph, external data outside the model's folder.
std::unique_ptr<onnx::ModelProto> readOnnxFile(const std::string& path,
                                               std::vector<std::string>& warnings);

/// The same from memory. External data must be a relative path without "..".
std::unique_ptr<onnx::ModelProto> parseOnnx(std::string_view bytes);

/// ONNX's TensorProto.DataType as ours: unsigned types as the signed ones of their size, complex
/// numbers as fp64, strings as bytes, sub-byte types as int4. Throws Error(input) for an unknown
/// code.
DType onnxDType(int code);

/// The type of an initialiser. Throws Error(input): a negative dimension, an absurd rank, a size
/// that overflows.
TensorType onnxType(const onnx::TensorProto& tensor);

/// Refuses ranks beyond what loop nests can name and element counts that overflow.
void checkShape(const Shape& shape);

}  // namespace meshplan
