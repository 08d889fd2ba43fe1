// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "backend/host_tensor.h"

namespace meshplan {

/// One tensor in a file, by the ending of its name: .npy (NumPy), .pb (ONNX's TensorProto), for
/// reading also .idx, -ubyte and the like (IDX). Throws Error(usage) for any other ending and
/// Error(input) for a bad file.
HostTensor readTensor(const std::string& path);
/// Throws Error(usage) for a name whose ending writeTensor does not know.
void checkTensorName(const std::string& path);
/// `name` and `code` (see writeTensorProto) go into a .pb file.
void writeTensor(const std::string& path, const HostTensor& tensor, const std::string& name,
                 int code = 0);

}  // namespace meshplan
