// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// The fastest algorithm that a library has for a shape on a device. `key` names the library's
/// version, the architecture, shapes, strides, dtypes, epilogue and alignment; `algorithm` means
/// something to that library alone.
struct MatrixChoice {
  std::string key;
  std::vector<std::byte> algorithm;
  double seconds = 0;  // of one execution
};

/// What a context knows about algorithms: `context.kept<MatrixChoices>()`. Products (and
/// convolutions) that are new are timed once and kept here, for a profile store to keep longer.
class MatrixChoices {
 public:
  explicit MatrixChoices(CudaContext&) {}

  /// From a profile store; choices of other library versions stay unused.
  void use(std::span<const MatrixChoice> choices);
  /// What this context timed itself, in that order.
  const std::vector<MatrixChoice>& timed() const { return timed_; }

  /// Null when the key is unknown.
  const MatrixChoice* find(const std::string& key) const;
  void addTimed(MatrixChoice choice);

 private:
  std::map<std::string, MatrixChoice> known_;
  std::vector<MatrixChoice> timed_;
};

}  // namespace meshplan
