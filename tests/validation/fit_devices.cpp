// SPDX-License-Identifier: Apache-2.0
// Fits the device parameters of the operator formulas to published measurements and prints the
// error on rows that it did not fit. `meshplan-fit DIR [--fit]`: DIR holds the tables; without
// --fit the present parameters are judged. docs/cost_model.md, "Operators", says which table
// decides which parameter.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "planner/analytic_cost.h"
#include "profiles/catalog.h"
#include "tests/validation/operator_tables.h"

namespace meshplan {
namespace {

double predict(const AnalyticCost& cost, const OperatorRow& row) {
  double seconds = 0;
  for (const OperatorWork& w : row.works) seconds += cost.operatorTime(w).time.value;
  return seconds;
}

/// The values of one architecture that the fit may change; a name with "@device" belongs to one
/// device.
struct Fit {
  std::string architecture;
  std::vector<std::string> names;
};

const Fit kFits[] = {
    {"pascal", {"vector_ceiling", "vector_tile_overhead", "vector_tile_prologue"}},
    {"turing", {"vector_ceiling", "vector_tile_overhead", "vector_tile_prologue"}},
    {"volta",
     {"vector_ceiling", "vector_tile_overhead", "vector_tile_prologue", "matrix_ceiling",
      "matrix_tile_prologue", "unaligned_penalty", "launch_floor", "memory_half_size",
      "convolution_forward", "convolution_backward_input", "convolution_backward_weight",
      "strided_gradient", "winograd_ceiling", "winograd_prologue", "winograd_transforms"}},
    {"ampere",
     {"vector_ceiling", "vector_tile_overhead", "vector_tile_prologue", "matrix_ceiling",
      "flash_ceiling", "flash_softmax_cost", "flash_block_overhead", "math_passes",
      "math_passes_causal"}},
    {"hopper",
     {"vector_ceiling", "vector_tile_overhead", "vector_tile_prologue", "matrix_ceiling",
      "matrix_tile_prologue", "flash_ceiling", "flash_softmax_cost", "flash_block_overhead",
      "math_passes", "math_passes_causal"}},
    {"blackwell", {"matrix_ceiling"}},
};

class Fitter {
 public:
  explicit Fitter(std::vector<OperatorRow> rows) : rows_(std::move(rows)) {
    Catalog catalog = Catalog::builtIn();
    for (const OperatorRow& r : rows_) devices_[r.device] = catalog.device(r.device);
  }

  /// Mean over the tables of the mean absolute relative error of the architecture's rows.
  double loss(const std::string& architecture, bool fittedHalf) const {
    std::map<std::string, std::pair<double, int>> sums;
    for (const auto& [name, s] : devices_) {
      if (s.architecture != architecture) continue;
      AnalyticCost cost(s);
      for (const OperatorRow& r : rows_) {
        if (r.device != name || r.fitted != fittedHalf) continue;
        auto& [sum, count] = sums[r.table];
        sum += std::abs(predict(cost, r) / r.seconds - 1);
        ++count;
      }
    }
    double total = 0;
    for (const auto& [table, s] : sums) total += s.first / s.second;
    return sums.empty() ? 0 : total / static_cast<double>(sums.size());
  }

  void set(const std::string& architecture, const std::string& name, double value) {
    for (auto& [key, s] : devices_)
      if (s.architecture == architecture) s.parameters[name] = {value, 0, "fit"};
  }

  /// Coordinate descent: each parameter in turn up and down by a share that halves when nothing
  /// helps.
  void fit(const Fit& f) {
    std::map<std::string, double> best;
    for (const std::string& n : f.names)
      best[n] = defaultParameters(f.architecture).*definition(n).member;
    for (const auto& [n, v] : best) set(f.architecture, n, v);
    double error = loss(f.architecture, true);
    for (double step = 0.4; step > 0.004; step /= 2)
      for (bool improved = true; improved;) improved = sweep(f, step, best, error);
    fmt::print("{}: fitted {:.2f} %, unseen {:.2f} %\n", f.architecture, error * 100,
               loss(f.architecture, false) * 100);
    for (const auto& [n, v] : best) fmt::print("  {:<28} {:.4g}\n", n, v);
  }

  void report() const {
    fmt::print("{:<40} {:<14} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8}\n", "table", "device", "rows",
               "seen %", "unseen %", "worst %", "bias %", "sigma %");
    std::map<std::pair<std::string, std::string>, std::vector<const OperatorRow*>> groups;
    for (const OperatorRow& r : rows_)
      for (const std::string& device : {r.device, std::string("(all)")})
        groups[{r.table, device}].push_back(&r);
    for (const auto& [key, rows] : groups) {
      size_t sameDevice = groups.at({key.first, rows[0]->device}).size();
      if (key.second != "(all)" || sameDevice < rows.size())
        reportGroup(key.first, key.second, rows);
    }
  }

  void dump() const {
    for (const OperatorRow& r : rows_) {
      AnalyticCost cost(devices_.at(r.device));
      fmt::print("{} {} {:.4g} {:.4g} {:+.1f} % | {}\n", r.table, r.device, r.seconds * 1e6,
                 predict(cost, r) * 1e6, (predict(cost, r) / r.seconds - 1) * 100, r.text);
    }
  }

 private:
  static const ParameterDefinition& definition(const std::string& name) {
    for (const ParameterDefinition& d : parameterDefinitions())
      if (d.name == name) return d;
    throw Error(ErrorKind::internal, "no parameter " + name);
  }

  bool sweep(const Fit& f, double step, std::map<std::string, double>& best, double& error) {
    bool improved = false;
    for (const std::string& n : f.names)
      for (double factor : {1 + step, 1 / (1 + step)}) {
        const ParameterDefinition& d = definition(n);
        double trial = std::clamp(best[n] * factor, d.low, d.high);
        set(f.architecture, n, trial);
        double e = loss(f.architecture, true);
        if (e < error - 1e-6) {
          error = e;
          best[n] = trial;
          improved = true;
        } else {
          set(f.architecture, n, best[n]);
        }
      }
    return improved;
  }

  void reportGroup(const std::string& table, const std::string& device,
                   const std::vector<const OperatorRow*>& rows) const {
    double sum[2] = {0, 0}, count[2] = {0, 0}, worst = 0, bias = 0, square = 0;
    for (const OperatorRow* r : rows) {
      double e = predict(AnalyticCost(devices_.at(r->device)), *r) / r->seconds - 1;
      sum[r->fitted] += std::abs(e);
      count[r->fitted] += 1;
      worst = std::max(worst, std::abs(e));
      bias += e;
      square += e * e;
    }
    double n = static_cast<double>(rows.size());
    fmt::print("{:<40} {:<14} {:>5} {:>8.1f} {:>8.1f} {:>8.1f} {:>+8.1f} {:>8.1f}\n", table, device,
               rows.size(), count[1] ? sum[1] / count[1] * 100 : 0,
               count[0] ? sum[0] / count[0] * 100 : 0, worst * 100, bias / n * 100,
               std::sqrt(square / n) * 100);
  }

  std::vector<OperatorRow> rows_;
  std::map<std::string, DeviceSpec> devices_;
};

int run(int argc, char** argv) {
  if (argc < 2) throw Error(ErrorKind::usage, "no folder", "meshplan-fit DIR [--fit] [--rows]");
  Fitter fitter(readOperatorTables(argv[1]));
  for (int i = 2; i < argc; ++i)
    if (std::string(argv[i]) == "--fit")
      for (const Fit& f : kFits) fitter.fit(f);
  fitter.report();
  for (int i = 2; i < argc; ++i)
    if (std::string(argv[i]) == "--rows") fitter.dump();
  return 0;
}

}  // namespace
}  // namespace meshplan

int main(int argc, char** argv) {
  try {
    return meshplan::run(argc, argv);
  } catch (const meshplan::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return meshplan::exitCode(e.kind());
  }
}
