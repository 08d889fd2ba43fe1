// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace meshplan {

/// Tensor payloads up to this size stay in a skimmed model; they may be shapes, axes and the like.
inline constexpr size_t kSmallPayload = 8192;

/// The model without what planning does not read: payloads of tensors larger than kSmallPayload
/// (where they lie stays, as TensorProto.payload_offset, payload_size and payload_field, and of raw
/// ones the first bytes, as raw_head) and every field that onnx.proto does
/// not declare. `bytes` is walked in protobuf wire format; skipped payloads are never touched, so a
/// mapped file of many gigabytes costs only its small parts. Throws Error(input) with the byte
/// offset when the bytes end too early, are not protobuf, or nest too deeply.
std::string skimOnnx(std::string_view bytes);

}  // namespace meshplan
