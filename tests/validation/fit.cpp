// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "planner/device_parameters.h"
#include "planner/link_parameters.h"
#include "planner/runtime_parameters.h"

namespace meshplan {
namespace {

struct Present {
  double value, low, high;
};

Present present(const FreeParameter& p) {
  for (const ParameterDefinition& d : parameterDefinitions())
    if (d.name == p.name) return {defaultParameters(p.architecture).*d.member, d.low, d.high};
  for (const LinkParameterDefinition& d : linkParameterDefinitions())
    if (d.name == p.name)
      return {defaultLinkParameters(parseLinkKind(p.architecture)).*d.member, d.low, d.high};
  for (const RuntimeDefinition& d : runtimeDefinitions())
    if (d.name == p.name) return {runtimeParameters(parseRuntime(p.architecture)).*d.member, 0, 1};
  throw Error(ErrorKind::usage, fmt::format("there is no parameter '{}'", p.name)).at("--fit");
}

double lossOf(const std::vector<Prediction>& rows) {
  std::map<std::string, std::pair<double, double>> sums;
  for (const Prediction& p : rows) {
    if (!p.fitted || !p.problem.empty()) continue;
    auto& [sum, count] = sums[p.table];
    sum += std::abs(p.error());
    ++count;
  }
  double total = 0;
  for (const auto& [table, s] : sums) total += s.first / s.second;
  return sums.empty() ? 0 : total / static_cast<double>(sums.size());
}

}  // namespace

void fit(StepPredictor& predictor, std::vector<FreeParameter>& parameters,
         const std::function<std::vector<Prediction>()>& predict) {
  for (FreeParameter& p : parameters) {
    p.value = present(p).value;
    predictor.override(p.architecture, p.name, p.value);
  }
  double least = lossOf(predict());
  const auto tryValue = [&](FreeParameter& p, double value) {
    predictor.override(p.architecture, p.name, value);
    const double loss = lossOf(predict());
    const bool better = loss < least - 1e-5;
    if (better) {
      least = loss;
      p.value = value;
    } else {
      predictor.override(p.architecture, p.name, p.value);
    }
    return better;
  };
  for (double step = 0.4; step > 0.02; step /= 2)
    for (bool improved = true; improved;) {
      improved = false;
      for (FreeParameter& p : parameters)
        for (double factor : {1 + step, 1 / (1 + step)}) {
          const Present d = present(p);
          const double value = std::clamp(p.value * factor, d.low, d.high);
          if (value != p.value && tryValue(p, value)) {
            improved = true;
            break;
          }
        }
      fmt::print(stderr, "step {:.3f}: {:.2f} %\n", step, least * 100);
    }
  for (const FreeParameter& p : parameters)
    fmt::print("{}:{}={:.4g}\n", p.architecture, p.name, p.value);
}

}  // namespace meshplan
