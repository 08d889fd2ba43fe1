// SPDX-License-Identifier: Apache-2.0
#include "backend/training_data.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>

#include "backend/idx.h"
#include "backend/initial_values.h"
#include "backend/npy.h"
#include "backend/token_file.h"
#include "core/error.h"

namespace meshplan {
namespace {

std::vector<std::string> splitAt(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string::npos; begin = end + 1)
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

/// Whether a loss compares with this input, seen through views.
bool isLabel(const Graph& graph, TensorId input) {
  for (OpId id : graph.tensor(input).consumers) {
    const Operator& op = graph.op(id);
    if (op.def->opClass == OpClass::loss && op.inputs.size() > 1 && op.inputs[1] == input)
      return true;
    if (op.def->opClass == OpClass::view && isLabel(graph, op.outputs[0])) return true;
  }
  return false;
}

TensorType batchType(const Graph& graph, TensorId input, int64_t referenceBatch,
                     int64_t globalBatch) {
  const Tensor& t = graph.tensor(input);
  TensorType type = t.type;
  if (t.batchDim >= 0) {
    int64_t& extent = type.shape[static_cast<size_t>(t.batchDim)];
    extent = extent * globalBatch / referenceBatch;
  }
  return type;
}

void checkRange(const Graph& graph, TensorId input, const HostTensor& values,
                const std::string& file) {
  const auto limit = indexedExtent(graph, input);
  if (!limit || isFloating(values.type().dtype)) return;
  const std::vector<double> all = toDoubles(values);
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i] < 0 || all[i] >= static_cast<double>(*limit))
      throw Error(ErrorKind::input,
                  fmt::format("element {} is {}, and input '{}' takes 0 to {}", i, all[i],
                              graph.tensor(input).name, *limit - 1),
                  "use data made for this model")
          .inFile(file);
}

}  // namespace

std::optional<int64_t> indexedExtent(const Graph& graph, TensorId input) {
  for (OpId id : graph.tensor(input).consumers) {
    const Operator& op = graph.op(id);
    if (op.def->opClass == OpClass::embedding) return graph.tensor(op.inputs[1]).type.shape[0];
    if (op.def->opClass == OpClass::loss && op.inputs[0] != input)
      return graph.tensor(op.inputs[0]).type.shape.back();
    if (op.def->opClass == OpClass::view)
      if (const auto extent = indexedExtent(graph, op.outputs[0])) return extent;
  }
  return std::nullopt;
}

HostTensor randomInput(const Graph& graph, TensorId input, int64_t referenceBatch,
                       int64_t globalBatch, uint64_t seed) {
  const TensorType type = batchType(graph, input, referenceBatch, globalBatch);
  const PlacedRandom random(seed, graph.tensor(input).name);
  if (isFloating(type.dtype)) return converted(normalValues(type.shape, random, 1), type.dtype);
  const auto limit = static_cast<double>(indexedExtent(graph, input).value_or(2));
  std::vector<double> values(static_cast<size_t>(type.elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::floor(limit * random.uniform(i));
  return fromDoubles(type, values);
}

TrainingData::TrainingData(const std::string& source, const Graph& graph, int64_t referenceBatch,
                           int64_t globalBatch, uint64_t seed)
    : graph_(graph), globalBatch_(globalBatch), seed_(seed) {
  for (size_t t = 0; t < graph.tensorCount(); ++t)
    if (graph.tensor(TensorId(t)).kind == TensorKind::input)
      inputs_.push_back({TensorId(t),
                         HostTensor(batchType(graph, TensorId(t), referenceBatch, globalBatch)),
                         {}});
  const size_t colon = source.find(':');
  const std::string kind = source.substr(0, colon);
  const std::string rest = colon == std::string::npos ? "" : source.substr(colon + 1);
  if (kind == "synthetic" && rest.empty())
    for (Input& input : inputs_)
      input.values = randomInput(graph, input.tensor, referenceBatch, globalBatch, seed);
  else if (kind == "idx")
    useIdx(splitAt(rest, ','));
  else if (kind == "npy")
    useArrays(splitAt(rest, ','));
  else if (kind == "tokens")
    useTokens(rest);
  else if (kind == "text")
    useText(rest);
  else
    throw Error(ErrorKind::usage, "there is no data '" + source + "'",
                "use synthetic, idx:IMAGES,LABELS, npy:INPUT=FILE,..., tokens:FILE or text:FILE");
  for (Input& input : inputs_)
    views_[static_cast<uint32_t>(input.tensor.index())] = input.values.view();
}

TrainingData::Input& TrainingData::only(bool labels, const std::string& what) {
  Input* found = nullptr;
  for (Input& input : inputs_) {
    if (isLabel(graph_, input.tensor) != labels) continue;
    if (found)
      throw Error(ErrorKind::usage, "the model has several inputs that could be the " + what,
                  "name them: npy:INPUT=FILE,...");
    found = &input;
  }
  if (!found)
    throw Error(ErrorKind::usage, "the model has no input for the " + what,
                "use npy:INPUT=FILE,... or synthetic data");
  return *found;
}

TrainingData::Input& TrainingData::inputNamed(const std::string& name) {
  std::string known;
  for (Input& input : inputs_) {
    if (graph_.tensor(input.tensor).name == name) return input;
    known += (known.empty() ? "" : ", ") + graph_.tensor(input.tensor).name;
  }
  throw Error(ErrorKind::usage, "the model has no input '" + name + "'", "its inputs are " + known);
}

/// Any shape does whose samples have as many elements as the model's.
void TrainingData::setSamples(Input& input, HostTensor samples, const std::string& file) {
  const Tensor& tensor = graph_.tensor(input.tensor);
  const int64_t count = samples.shape().empty() ? 0 : samples.shape().front();
  const int64_t wanted = input.values.elements() / globalBatch_;
  if (tensor.batchDim != 0 || count == 0 || samples.elements() != count * wanted)
    throw Error(ErrorKind::input,
                fmt::format("an array of {} does not give samples of {} elements for input '{}' "
                            "of {}",
                            shapeText(samples.shape()), wanted, tensor.name,
                            shapeText(input.values.shape())),
                "the first dimension must count the samples")
        .inFile(file);
  if (samples_ != 0 && samples_ != count)
    throw Error(ErrorKind::input,
                fmt::format("{} samples where the others have {}", count, samples_),
                "give arrays of equal length")
        .inFile(file);
  samples_ = count;
  const bool bytes = samples.type().dtype == DType::u8 && isFloating(tensor.type.dtype);
  if (bytes) {
    std::vector<double> values = toDoubles(samples);
    for (double& v : values) v /= 255;
    samples = fromDoubles({tensor.type.dtype, samples.shape()}, values);
  }
  input.samples = converted(samples, tensor.type.dtype);
  checkRange(graph_, input.tensor, input.samples, file);
}

void TrainingData::useIdx(const std::vector<std::string>& files) {
  if (files.size() != 2)
    throw Error(ErrorKind::usage, "IDX data needs two files", "write idx:IMAGES,LABELS");
  setSamples(only(false, "images"), readIdx(files[0]), files[0]);
  setSamples(only(true, "labels"), readIdx(files[1]), files[1]);
}

void TrainingData::useArrays(const std::vector<std::string>& assignments) {
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos)
      throw Error(ErrorKind::usage, "'" + assignment + "' names no input",
                  "write npy:INPUT=FILE,...");
    const std::string file = assignment.substr(equals + 1);
    setSamples(inputNamed(assignment.substr(0, equals)), readNpy(file), file);
  }
  for (const Input& input : inputs_)
    if (input.samples.shape().empty())
      throw Error(ErrorKind::usage, "no array for input '" + graph_.tensor(input.tensor).name + "'",
                  "give npy:INPUT=FILE for every input");
}

void TrainingData::useTokens(const std::string& file) {
  const Input& ids = only(false, "tokens");
  const TokenFile tokens(file, indexedExtent(graph_, ids.tensor).value_or(int64_t{1} << 32));
  tokens_.resize(static_cast<size_t>(tokens.size()));
  tokens.read(0, tokens_);
  useSequences(file);
}

void TrainingData::useText(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(ErrorKind::input, "cannot be read", "check the name").inFile(file);
  for (std::istreambuf_iterator<char> c(in), end; c != end; ++c)
    tokens_.push_back(static_cast<unsigned char>(*c));
  const auto vocabulary = indexedExtent(graph_, only(false, "tokens").tensor);
  if (vocabulary && *vocabulary < 256)
    throw Error(ErrorKind::input,
                fmt::format("bytes need a vocabulary of 256, and the model has {}", *vocabulary),
                "use --set vocab=256")
        .inFile(file);
  useSequences(file);
}

void TrainingData::useSequences(const std::string& file) {
  const Input &ids = only(false, "tokens"), &labels = only(true, "labels");
  const int64_t length = ids.values.elements() / globalBatch_;
  if (ids.values.elements() != labels.values.elements())
    throw Error(ErrorKind::usage, "the model has not one label per token",
                "text trains language models");
  samples_ = (static_cast<int64_t>(tokens_.size()) - 1) / length;
  if (samples_ < 1)
    throw Error(ErrorKind::input,
                fmt::format("{} tokens are too few for one sequence of {}", tokens_.size(), length),
                "use a longer text or a smaller --seq")
        .inFile(file);
}

const std::vector<int64_t>& TrainingData::orderOf(int64_t epoch) {
  if (epoch == epoch_) return order_;
  epoch_ = epoch;
  order_.resize(static_cast<size_t>(samples_));
  std::iota(order_.begin(), order_.end(), 0);
  const PlacedRandom random(seed_, fmt::format("epoch {}", epoch));
  for (size_t i = order_.size(); i > 1; --i)
    std::swap(order_[i - 1],
              order_[static_cast<size_t>(random.uniform(i) * static_cast<double>(i))]);
  return order_;
}

void TrainingData::windowTokens(int64_t step) {
  Input &ids = only(false, "tokens"), &labels = only(true, "labels");
  const int64_t length = ids.values.elements() / globalBatch_;
  std::vector<double> now, next;
  for (int64_t s = step * globalBatch_; s < (step + 1) * globalBatch_; ++s) {
    const auto begin =
        static_cast<size_t>(orderOf(s / samples_)[static_cast<size_t>(s % samples_)] * length);
    for (size_t i = begin; i < begin + static_cast<size_t>(length); ++i) {
      now.push_back(static_cast<double>(tokens_[i]));
      next.push_back(static_cast<double>(tokens_[i + 1]));
    }
  }
  ids.values = fromDoubles(ids.values.type(), now);
  labels.values = fromDoubles(labels.values.type(), next);
}

void TrainingData::pickSamples(int64_t step) {
  for (int64_t i = 0; i < globalBatch_; ++i) {
    const int64_t s = step * globalBatch_ + i;
    const int64_t sample = orderOf(s / samples_)[static_cast<size_t>(s % samples_)];
    for (Input& input : inputs_) {
      const auto bytes = input.values.bytes().size() / static_cast<size_t>(globalBatch_);
      std::memcpy(input.values.bytes().data() + static_cast<size_t>(i) * bytes,
                  input.samples.bytes().data() + static_cast<size_t>(sample) * bytes, bytes);
    }
  }
}

const StepInputs& TrainingData::batch(int64_t step) {
  if (!tokens_.empty())
    windowTokens(step);
  else if (samples_ > 0)
    pickSamples(step);
  for (Input& input : inputs_)
    views_[static_cast<uint32_t>(input.tensor.index())] = input.values.view();
  return views_;
}

}  // namespace meshplan
