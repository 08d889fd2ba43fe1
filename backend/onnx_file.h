// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/host_tensor.h"
#include "core/mapped_file.h"

namespace meshplan {

namespace onnx {
class ModelProto;
class TensorProto;
}  // namespace onnx

/// An ONNX file with access to the values of its tensors. The file stays mapped; values are copied
/// when they are asked for. External data is read only from inside the model's folder. Throws
/// Error(input) as readOnnxFile does.
class OnnxFileReader {
 public:
  explicit OnnxFileReader(const std::string& path);
  ~OnnxFileReader();
  OnnxFileReader(const OnnxFileReader&) = delete;
  OnnxFileReader& operator=(const OnnxFileReader&) = delete;

  const std::string& path() const { return path_; }
  const onnx::ModelProto& model() const { return *model_; }
  /// The values of a tensor of `model`. Throws Error(input) naming the tensor when they are
  /// missing, damaged, or no plain numbers.
  HostTensor read(const onnx::TensorProto& tensor) const;
  /// Whether the file, or the one that the tensor names, holds its values: models are also saved
  /// without them.
  bool hasValues(const onnx::TensorProto& tensor) const;

 private:
  std::string externalPath(const onnx::TensorProto& tensor) const;
  HostTensor readExternal(const onnx::TensorProto& tensor) const;

  std::string path_;
  MappedFile file_;
  std::unique_ptr<onnx::ModelProto> model_;
};

}  // namespace meshplan
