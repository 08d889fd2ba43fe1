// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backend/host_tensor.h"
#include "core/mapped_file.h"

namespace meshplan {

using Metadata = std::map<std::string, std::string>;

/// A tensor to write, or one of a file: `view` is read-only memory then.
struct NamedTensor {
  std::string name;
  TensorView view;
};

/// A checkpoint in safetensors format (github.com/huggingface/safetensors): 8 bytes with the length
/// of a JSON header, the header, then the data without gaps. The file is mapped; tensors are views
/// into it, which kernels must not write and which may lack alignment. Throws Error(input): a
/// header beyond 100 MB or the file, names twice, tensors that overlap, leave gaps or do not fit
/// their shape, bytes left over, element types without a counterpart (U16, U32, U64 and the like).
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);

  /// In the order of their names.
  const std::vector<NamedTensor>& tensors() const { return tensors_; }
  const Metadata& metadata() const { return metadata_; }
  /// Null when there is none of that name.
  const NamedTensor* find(std::string_view name) const;
  /// A copy; throws Error(input) naming the file when there is none or its type is another.
  HostTensor read(std::string_view name, const TensorType& type) const;

 private:
  std::string path_;
  MappedFile file_;
  Metadata metadata_;
  std::vector<NamedTensor> tensors_;
};

/// Names, types and places of the tensors in `bytes`; views into it.
std::vector<NamedTensor> safetensorsFromBytes(std::string_view bytes, Metadata& metadata);

/// Writes a file that appears whole or not at all. The data begins at a multiple of 64 bytes,
/// tensors of wider elements first, each group by name, so that every tensor is aligned to its
/// elements. Throws Error(internal) when a name occurs twice.
void writeSafetensors(const std::string& path, std::vector<NamedTensor> tensors,
                      const Metadata& metadata = {});

}  // namespace meshplan
