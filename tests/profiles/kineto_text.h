// SPDX-License-Identifier: Apache-2.0
#pragma once

// Traces as PyTorch's profiler writes them, by hand.

#include <fmt/format.h>

#include <string>

namespace meshplan {

/// Events of one rank: calls on host threads, kernels that they launched.
class KinetoText {
 public:
  /// Returns the external id. `arguments` are further ones, as `"Input Dims": [[4,8]]`.
  int call(const std::string& name, double start, double duration, const std::string& arguments,
           int thread = 100, int sequence = -1) {
    const std::string number =
        sequence < 0 ? "" : fmt::format(R"("Sequence number": {}, )", sequence);
    add(fmt::format(R"({{"ph": "X", "cat": "cpu_op", "name": "{}", "pid": 7, "tid": {}, "ts": {}, )"
                    R"("dur": {}, "args": {{"External id": {}, {}{}}}}})",
                    name, thread, start, duration, ++last_, number,
                    arguments.empty() ? R"("Record function id": 0)" : arguments));
    return last_;
  }
  /// The node of a gradient on autograd's thread.
  void node(const std::string& name, double start, double duration, int sequence) {
    call("autograd::engine::evaluate_function: " + name, start, duration, "", 200, sequence);
  }
  void kernel(const std::string& name, int externalId, double duration) {
    add(fmt::format(R"({{"ph": "X", "cat": "kernel", "name": "{}", "pid": 0, "tid": 7, "ts": {}, )"
                    R"("dur": {}, "args": {{"External id": {}, "device": 0, "stream": 7, )"
                    R"("correlation": {}, "est. achieved occupancy %": "inf"}}}})",
                    name, 1e6 + duration, duration, externalId, 1000 + externalId));
  }
  void add(const std::string& event) { events_ += (events_.empty() ? "" : ",\n") + event; }

  std::string text() const {
    return "{\n\"schemaVersion\": 1,\n\"deviceProperties\": [" + device +
           "],\n\"cuda_runtime_version\": 12040,\n\"distributedInfo\": {" + distributed +
           "},\n\"host_name\": \"" + host + "\",\n\"traceEvents\": [\n" + events_ +
           "\n],\n\"traceName\": \"t.json\"\n}\n";
  }

  std::string device =
      R"({"id": 0, "name": "NVIDIA H100 80GB HBM3", "totalGlobalMem": 84929347584, "numSms": 132})";
  std::string distributed =
      R"("backend": "nccl", "rank": 0, "world_size": 1, )"
      R"("pg_config": [{"pg_name": "0", "ranks": [0]}], "nccl_version": "2.21.5")";
  std::string host = "a";

 private:
  std::string events_;
  int last_ = 0;
};

/// The arguments of a call by shapes, types and values.
inline std::string typed(const std::string& dims, const std::string& types,
                         const std::string& values = "") {
  std::string text = fmt::format(R"("Input Dims": {}, "Input type": {})", dims, types);
  return values.empty() ? text : text + fmt::format(R"(, "Concrete Inputs": {})", values);
}

}  // namespace meshplan
