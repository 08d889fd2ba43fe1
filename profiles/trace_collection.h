// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "profiles/aten_operator.h"
#include "profiles/operator_trace.h"

namespace meshplan {

/// The work of OperatorTrace::collect: nests the ranges, sums the kernels below each, chooses the
/// operators and finds their gradients. Ranges are called by their place in the order of threads
/// and starts, in which a range's descendants follow it.
class TraceCollection {
 public:
  TraceCollection(OperatorTrace& trace, ImportCollector& collector);
  void run();

 private:
  /// Seconds of kernels, and of those that give a convolution's gradient of its input or weight.
  struct Times {
    double all = 0, input = 0, weight = 0;
    bool tf32 = false;
    std::optional<DType> compute;
    void add(const Times& other);
  };
  /// What is known of a call, found once per distinct call.
  struct Call {
    std::optional<AtenCall> call;
    std::map<int, AtenForms> forms;  // by hints
    std::map<int, std::vector<FormWorks>> works;
  };
  struct Taken {
    size_t range = 0;
    AtenHints hints;
    std::vector<size_t> nodes;  // of its gradient
  };

  void nest();
  void sumKernels();
  Times timesOf(const std::string& kernel, double seconds);
  size_t innermost(uint64_t thread, int64_t time) const;

  void markGradients();
  void takeForward(bool inGradients);
  bool take(size_t r);
  void takeGradients();
  void takeGradient(const Taken& taken);
  void leaveOutRest();

  const std::string& name(size_t r) const;
  Call& callOf(size_t r);
  AtenHints hintsOf(size_t r);
  const AtenForms& formsOf(size_t r, const AtenHints& hints);
  const std::vector<FormWorks>& worksOf(size_t r, const AtenHints& hints);
  double secondsOf(size_t r, std::string_view def);
  double hostSeconds(size_t r) const;
  double nodeSeconds(size_t r) const;
  bool holdsItself(size_t r) const;
  void addGradient(const std::vector<FormWorks>& works, Phase phase, double seconds);
  void splitContraction(const Taken& taken, double& input, double& weight);
  bool splitConvolution(const Taken& taken, double& input, double& weight);

  OperatorTrace& trace_;
  ImportCollector& collector_;
  std::vector<OperatorTrace::Range> ranges_;  // in order
  std::vector<size_t> after_;                 // the first range behind a range's descendants
  std::vector<int64_t> parent_;
  std::vector<Times> own_, below_;  // kernels of the range itself; with its descendants
  std::vector<uint8_t> covered_, inGradient_;
  std::map<std::pair<uint32_t, uint32_t>, Call> calls_;
  std::unordered_map<int64_t, size_t> bySequence_;  // the last forward range of a number
  std::vector<int64_t> takenBy_;                    // index into taken_, -1: none
  std::vector<Taken> taken_;
  std::map<uint32_t, std::string> reasons_;  // why calls of that name were not taken
  bool onDevice_ = false;
};

}  // namespace meshplan
