// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "core/import/onnx_import.h"

/// Any bytes are either a model or one Error that is no internal one.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  meshplan::ModelRequest request;
  request.source = "fuzz.onnx";
  request.dims = {{"batch", 2}, {"s0", 8}};
  request.tripCount = 3;
  try {
    meshplan::importOnnxBytes({reinterpret_cast<const char*>(data), size}, request);
  } catch (const meshplan::Error& e) {
    if (e.kind() == meshplan::ErrorKind::internal) __builtin_trap();
  }
  return 0;
}
