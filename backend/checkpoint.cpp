// SPDX-License-Identifier: Apache-2.0
#include "backend/checkpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <sstream>

#include "backend/checksum.h"
#include "backend/parameter_values.h"
#include "backend/safetensors.h"

namespace meshplan {
namespace {

constexpr const char* kFormat = "meshplan";

struct KeptKind {
  ParameterKind kind;
  const char* suffix;
};
constexpr std::array kKinds{KeptKind{ParameterKind::weights, ""},
                            KeptKind{ParameterKind::master, ".master"},
                            KeptKind{ParameterKind::firstState, ".momentum"},
                            KeptKind{ParameterKind::secondState, ".variance"}};

/// The parameters of all stages, each once, in a fixed order.
std::vector<TensorId> parametersOf(const Program& program) {
  std::vector<TensorId> ids;
  for (const RankClass& rankClass : program.rankClasses)
    for (const ParameterPlace& p : rankClass.parameters) ids.push_back(p.tensor);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::string scaleText(const LossScale& s) {
  return fmt::format("{} {} {}", s.scale, s.goodSteps, s.skippedSteps);
}

/// What the metadata says, as one text.
std::string summary(const CheckpointInfo& info, const LossScale* scale) {
  return fmt::format("{} {} {}", info.step, info.seed, info.fingerprint) +
         (scale ? " " + scaleText(*scale) : std::string());
}

uint64_t sumOf(const NamedTensor& tensor) {
  return checksum({static_cast<const std::byte*>(tensor.view.data),
                   static_cast<size_t>(tensor.view.type.bytes().value)},
                  checksum(tensor.name));
}

/// Of the summary and of all tensors in the order of their names.
std::string checksums(const std::string& summary, std::vector<NamedTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
  std::string text = fmt::format("{:016x}", checksum(summary));
  for (const NamedTensor& t : tensors) text += fmt::format("{:016x}", sumOf(t));
  return text;
}

/// A file that `saveCheckpoint` wrote, checked as it is read.
class CheckpointFile {
 public:
  /// `scale` receives what an fp16 run is to go on with; null for other precisions.
  CheckpointFile(const SafetensorsFile& file, const std::string& path, LossScale* scale)
      : file_(file), path_(path) {
    info_.step = static_cast<int64_t>(number("step"));
    info_.seed = number("seed");
    info_.fingerprint = text("graph");
    if (scale) *scale = readScale();
    sums_ = text("checksums");
    if (sums_.size() != (file.tensors().size() + 1) * kSum) reject("checksums are missing");
    check(0, checksum(summary(info_, scale)), "its metadata");
  }

  const CheckpointInfo& info() const { return info_; }

  HostTensor read(const std::string& name, const TensorType& type) const {
    const NamedTensor* found = file_.find(name);
    if (!found || (found->view.type.shape == type.shape && found->view.type.dtype != type.dtype))
      throw Error(ErrorKind::input, found ? "is of another precision" : "is missing",
                  "resume with the model, --optimizer and --precision that it was saved with, or "
                  "use it as --weights")
          .at("tensor '" + name + "'")
          .inFile(path_);
    HostTensor tensor = file_.read(name, type);
    const auto index = static_cast<size_t>(found - file_.tensors().data());
    check(index + 1, sumOf(NamedTensor{name, tensor.view()}), "tensor '" + name + "'");
    return tensor;
  }

 private:
  static constexpr size_t kSum = 16;  // digits

  [[noreturn]] void reject(const std::string& problem) const {
    throw Error(ErrorKind::input, problem,
                "resume from an undamaged file that `meshplan run --checkpoint` wrote, or use it "
                "as --weights")
        .inFile(path_);
  }

  std::string text(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) reject("its metadata has no '" + key + "'");
    return found->second;
  }

  uint64_t number(const std::string& key) const {
    const std::string digits = text(key);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value > INT64_MAX)
      reject("its metadata has no number '" + key + "'");
    return value;
  }

  LossScale readScale() const {
    const std::string words = text("loss_scale");
    std::istringstream in(words);
    LossScale s;
    if (!(in >> s.scale >> s.goodSteps >> s.skippedSteps) || scaleText(s) != words ||
        !(s.scale > 0))
      reject("its metadata has no loss scale");
    return s;
  }

  void check(size_t index, uint64_t sum, const std::string& what) const {
    if (sums_.compare(index * kSum, kSum, fmt::format("{:016x}", sum)) != 0)
      reject(what + " is damaged: its checksum differs");
  }

  const SafetensorsFile& file_;
  const std::string& path_;
  CheckpointInfo info_;
  std::string sums_;
};

/// Weights of any floating-point type, of whatever program made them.
HostTensor weightsIn(const SafetensorsFile& file, const std::string& name, const TensorType& type) {
  const NamedTensor* found = file.find(name);
  if (!found || found->view.type.shape != type.shape || !isFloating(found->view.type.dtype))
    return file.read(name, type);
  return converted(file.read(name, found->view.type), type.dtype);
}

/// Whether one product makes queries, keys and values from this parameter.
bool isFusedAttention(const Graph& graph, const Tensor& parameter) {
  for (OpId reader : parameter.consumers)
    for (TensorId made : graph.op(reader).outputs)
      for (OpId next : graph.tensor(made).consumers)
        if (graph.op(next).def->name == "SplitHeads" && graph.op(next).outputs.size() == 3)
          return true;
  return false;
}

/// Hugging Face's GPT-2 has all queries before all keys; here each head's stand together. The
/// shapes are the same.
void refuseForeignOrder(const Graph& graph, const SafetensorsFile& file, const std::string& path) {
  const auto format = file.metadata().find("format");
  if (format != file.metadata().end() && format->second == kFormat) return;
  for (size_t t = 0; t < graph.tensorCount(); ++t) {
    const Tensor& tensor = graph.tensor(TensorId(t));
    if (tensor.kind == TensorKind::parameter && isFusedAttention(graph, tensor))
      throw Error(ErrorKind::input, "queries, keys and values may be in another order",
                  "order the last dimension head by head (the first head's query, key and value, "
                  "then the second's) and set the file's metadata 'format' to 'meshplan'")
          .inFile(path)
          .at("tensor '" + tensor.name + "'");
  }
}

void loadWeights(Executor& executor, const SafetensorsFile& file) {
  const MeshShape& mesh = executor.program().mesh;
  for (const ParameterPlace& p : executor.memory().parameters()) {
    const std::string& name = executor.graph().tensor(p.tensor).name;
    const auto load = [&](ParameterKind kind) {
      if (const auto type = wholeParameterType(p, mesh, kind))
        setParameter(executor, p.tensor, kind, weightsIn(file, name, *type));
    };
    load(ParameterKind::weights);
    load(ParameterKind::master);
  }
}

void loadState(Executor& executor, const CheckpointFile& file) {
  const MeshShape& mesh = executor.program().mesh;
  for (const ParameterPlace& p : executor.memory().parameters())
    for (const KeptKind& k : kKinds)
      if (const auto type = wholeParameterType(p, mesh, k.kind))
        setParameter(executor, p.tensor, k.kind,
                     file.read(executor.graph().tensor(p.tensor).name + k.suffix, *type));
}

/// All ranks learn whether rank 0 could write.
std::optional<Error> agreeOnSuccess(Communicator& world, std::optional<Error> error) {
  double failed = error ? 1 : 0;
  world.allReduce(&failed, 1, DType::f64, ReduceOp::max);
  if (failed > 0 && !error)
    error.emplace(ErrorKind::runtime, "rank 0 could not write the checkpoint", "see its message");
  return error;
}

}  // namespace

std::optional<Error> saveCheckpoint(Executor& executor, const std::string& path,
                                    const CheckpointInfo& info) {
  std::vector<HostTensor> values;
  std::vector<std::string> names;
  Communicator& world = executor.groups().world();
  for (TensorId id : parametersOf(executor.program()))
    for (const KeptKind& k : kKinds) {
      auto whole = collectParameter(executor, id, k.kind);
      if (!whole || world.rank() != 0) continue;
      names.push_back(executor.graph().tensor(id).name + k.suffix);
      values.push_back(std::move(*whole));
    }
  std::optional<Error> error;
  if (world.rank() == 0) {
    std::vector<NamedTensor> tensors;
    for (size_t i = 0; i < values.size(); ++i) tensors.push_back({names[i], values[i].view()});
    const LossScale* scale = executor.lossScale();
    std::map<std::string, std::string> metadata{
        {"format", kFormat},
        {"step", std::to_string(info.step)},
        {"seed", std::to_string(info.seed)},
        {"graph", info.fingerprint},
        {"checksums", checksums(summary(info, scale), tensors)}};
    if (scale) metadata["loss_scale"] = scaleText(*scale);
    try {
      writeSafetensors(path, tensors, metadata);
    } catch (const Error& e) {
      error = e;
    }
  }
  return agreeOnSuccess(world, std::move(error));
}

CheckpointInfo loadCheckpoint(Executor& executor, const std::string& path,
                              const std::string& fingerprint) {
  const SafetensorsFile file(path);
  LossScale scale;
  const CheckpointFile checkpoint(file, path, executor.lossScale() ? &scale : nullptr);
  if (checkpoint.info().fingerprint != fingerprint)
    throw Error(ErrorKind::input, "this is a checkpoint of another model",
                "resume with the model and the settings that it was made with")
        .inFile(path);
  loadState(executor, checkpoint);
  if (LossScale* own = executor.lossScale()) *own = scale;
  return checkpoint.info();
}

void loadWeights(Executor& executor, const std::string& path) {
  const SafetensorsFile file(path);
  refuseForeignOrder(executor.graph(), file, path);
  loadWeights(executor, file);
}

}  // namespace meshplan
