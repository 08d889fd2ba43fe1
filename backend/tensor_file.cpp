// SPDX-License-Identifier: Apache-2.0
#include "backend/tensor_file.h"

#include "backend/idx.h"
#include "backend/npy.h"
#include "backend/tensor_proto.h"
#include "core/error.h"

namespace meshplan {
namespace {

[[noreturn]] void refuse(const std::string& path) {
  throw Error(ErrorKind::usage, "the format of the file is not known by its ending",
              "use .npy (NumPy) or .pb (ONNX)")
      .inFile(path);
}

/// MNIST's files are called train-images-idx3-ubyte.
bool isIdx(const std::string& path) {
  return path.ends_with(".idx") || path.ends_with("-ubyte") || path.ends_with(".ubyte");
}

}  // namespace

HostTensor readTensor(const std::string& path) {
  if (path.ends_with(".npy")) return readNpy(path);
  if (path.ends_with(".pb")) return readTensorProto(path);
  if (isIdx(path)) return readIdx(path);
  refuse(path);
}

void checkTensorName(const std::string& path) {
  if (!path.ends_with(".npy") && !path.ends_with(".pb")) refuse(path);
}

void writeTensor(const std::string& path, const HostTensor& tensor, const std::string& name,
                 int code) {
  if (path.ends_with(".npy")) return writeNpy(path, tensor);
  if (path.ends_with(".pb")) return writeTensorProto(path, tensor, name, code);
  refuse(path);
}

}  // namespace meshplan
