// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backend/host_tensor.h"
#include "backend/input_staging.h"
#include "core/graph.h"

namespace meshplan {

/// Where the samples of a training run come from (docs/formats.md, "Data"). Batches follow from the
/// seed and the step alone: every rank makes the same ones, and a resumed run goes on with those
/// that an uninterrupted one would have seen. Samples of files are shuffled anew every epoch.
///
/// Written as
///   synthetic                  random numbers; one batch that is seen again and again
///   idx:IMAGES,LABELS          files in MNIST's format; bytes are scaled to [0, 1]
///   npy:INPUT=FILE,...         an array per input of the model, samples along its batch dimension
///   tokens:FILE                token ids, uint16 or uint32; labels are the tokens that follow
///   text:FILE                  the bytes of a text as tokens
class TrainingData {
 public:
  /// Throws Error(usage) for anything but the above, Error(input) naming file and remedy when a
  /// file does not fit the model.
  TrainingData(const std::string& source, const Graph& graph, int64_t referenceBatch,
               int64_t globalBatch, uint64_t seed);

  /// The inputs of a step (from 0), valid until the next call.
  const StepInputs& batch(int64_t step);
  /// Of files: 0 where there is no end.
  int64_t samples() const { return samples_; }

 private:
  /// One input of the model for the whole global batch.
  struct Input {
    TensorId tensor;
    HostTensor values;   // of the current step
    HostTensor samples;  // of a file, samples along the first dimension; empty else
  };

  void useIdx(const std::vector<std::string>& files);
  void useArrays(const std::vector<std::string>& assignments);
  void useTokens(const std::string& file);
  void useText(const std::string& file);
  void useSequences(const std::string& file);
  void setSamples(Input& input, HostTensor samples, const std::string& file);
  void windowTokens(int64_t step);
  void pickSamples(int64_t step);
  const std::vector<int64_t>& orderOf(int64_t epoch);
  Input& inputNamed(const std::string& name);
  Input& only(bool labels, const std::string& what);

  const Graph& graph_;
  int64_t globalBatch_, samples_ = 0;
  uint64_t seed_;
  std::vector<Input> inputs_;
  std::vector<int64_t> tokens_;
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;
  StepInputs views_;
};

/// How many values an integer input may take: the rows of the table it indexes, or the classes it
/// names; nothing where it does neither.
std::optional<int64_t> indexedExtent(const Graph& graph, TensorId input);

/// Random values of an input for a global batch: floats N(0, 1), integers uniform below what they
/// index (0 or 1 if nothing).
HostTensor randomInput(const Graph& graph, TensorId input, int64_t referenceBatch,
                       int64_t globalBatch, uint64_t seed);

}  // namespace meshplan
