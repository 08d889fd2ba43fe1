// SPDX-License-Identifier: Apache-2.0
#include "backend/checkpoint.h"

#include <array>
#include <charconv>
#include <optional>

#include "backend/parameter_values.h"
#include "backend/safetensors.h"
#include "core/error.h"

namespace meshplan {
namespace {

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

uint64_t number(const SafetensorsFile& file, const std::string& key, const std::string& path) {
  const auto found = file.metadata().find(key);
  uint64_t value = 0;
  if (found != file.metadata().end()) {
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
  }
  throw Error(ErrorKind::input, "its metadata has no number '" + key + "'",
              "resume from a file that `meshplan run --checkpoint` wrote, or use it as --weights")
      .inFile(path);
}

/// All ranks learn whether rank 0 could write.
void agreeOnSuccess(Communicator& world, const std::optional<Error>& error) {
  double failed = error ? 1 : 0;
  world.allReduce(&failed, 1, DType::f64, ReduceOp::max);
  if (error) throw *error;
  if (failed > 0)
    throw Error(ErrorKind::runtime, "rank 0 could not write the checkpoint", "see its message");
}

}  // namespace

void saveCheckpoint(Executor& executor, const std::string& path, const CheckpointInfo& info) {
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
    try {
      writeSafetensors(path, std::move(tensors),
                       {{"format", "meshplan"},
                        {"step", std::to_string(info.step)},
                        {"seed", std::to_string(info.seed)},
                        {"graph", info.fingerprint}});
    } catch (const Error& e) {
      error = e;
    }
  }
  agreeOnSuccess(world, error);
}

CheckpointInfo loadCheckpoint(Executor& executor, const std::string& path,
                              const std::string& fingerprint, bool weightsOnly) {
  const SafetensorsFile file(path);
  CheckpointInfo info;
  info.fingerprint = fingerprint;
  if (!weightsOnly) {
    info.step = static_cast<int64_t>(number(file, "step", path));
    info.seed = number(file, "seed", path);
    const auto graph = file.metadata().find("graph");
    if (graph == file.metadata().end() || graph->second != fingerprint)
      throw Error(ErrorKind::input, "this is a checkpoint of another model",
                  "resume with the model and the settings that it was made with")
          .inFile(path);
  }
  const MeshShape& mesh = executor.program().mesh;
  for (const ParameterPlace& p : executor.memory().parameters())
    for (const KeptKind& k : kKinds) {
      const auto type = wholeParameterType(p, mesh, k.kind);
      if (!type || (weightsOnly && k.kind != ParameterKind::weights)) continue;
      const std::string name = executor.graph().tensor(p.tensor).name + k.suffix;
      const HostTensor values = file.read(name, *type);
      setParameter(executor, p.tensor, k.kind, values);
      if (weightsOnly && p.master >= 0)
        setParameter(executor, p.tensor, ParameterKind::master, converted(values, DType::f32));
    }
  return info;
}

}  // namespace meshplan
