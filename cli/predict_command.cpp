// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "backend/onnx_cases.h"
#include "backend/onnx_evaluator.h"
#include "backend/tensor_file.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/report_json.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;

constexpr const char* kDescription =
    "Evaluates an ONNX model with its weights on the CPU.\n"
    "\n"
    "Examples:\n"
    "  meshplan predict model.onnx --input image.npy --output logits.npy\n"
    "  meshplan predict model.onnx --input ids=ids.npy --input mask=mask.npy --output "
    "logits=out.pb\n"
    "  meshplan predict --cases onnx/backend/test/data/node\n";

struct NamedFile {
  std::string name, path;
};

/// NAME=FILE, or FILE for the next one in the model's order.
NamedFile namedFile(const std::string& text) {
  const size_t at = text.find('=');
  return at == std::string::npos ? NamedFile{"", text}
                                 : NamedFile{text.substr(0, at), text.substr(at + 1)};
}

std::string describe(const std::vector<OnnxPort>& ports) {
  std::string text;
  for (const OnnxPort& p : ports) {
    std::vector<std::string> dims;
    for (const std::string& d : p.dims) dims.push_back(d.empty() ? "?" : d);
    text += fmt::format("{}{} [{}]", text.empty() ? "" : ", ", p.name, fmt::join(dims, ","));
  }
  return text.empty() ? "none" : text;
}

/// Which port each file is for, by index.
std::vector<size_t> assign(const std::vector<std::string>& options,
                           const std::vector<OnnxPort>& ports, const char* option) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < options.size(); ++i) {
    const NamedFile file = namedFile(options[i]);
    const auto found = std::find_if(ports.begin(), ports.end(),
                                    [&](const OnnxPort& p) { return p.name == file.name; });
    const size_t index =
        file.name.empty() ? i : static_cast<size_t>(std::distance(ports.begin(), found));
    if (index >= ports.size() || std::find(indices.begin(), indices.end(), index) != indices.end())
      throw Error(ErrorKind::usage, fmt::format("'{}' fits none of the model's", options[i]),
                  "the model has: " + describe(ports))
          .at(option);
    indices.push_back(index);
  }
  return indices;
}

/// Refused before anything is computed.
void checkOutputs(const std::vector<std::string>& options) {
  std::set<std::string> paths;
  for (const std::string& option : options) {
    const std::string path = namedFile(option).path;
    checkTensorName(path);
    if (!paths.insert(path).second)
      throw Error(ErrorKind::usage, "two outputs are to be written to it", "name two files")
          .inFile(path);
  }
}

ordered_json toJson(const OnnxCaseResult& result) {
  static constexpr const char* kOutcomes[] = {"passed", "failed", "unsupported"};
  return {{"case", result.folder},
          {"operator", result.op},
          {"outcome", kOutcomes[result.outcome]},
          {"known_operators", result.known},
          {"plain_types", result.plain},
          {"reason", result.reason}};
}

struct Counts {
  int passed = 0, failed = 0, unsupported = 0, foreign = 0, unknown = 0;

  void add(const OnnxCaseResult& r) {
    ++(r.outcome == OnnxCaseResult::passed   ? passed
       : r.outcome == OnnxCaseResult::failed ? failed
       : !r.known                            ? unknown
       : r.plain                             ? unsupported
                                             : foreign);
  }
  Counts& operator+=(const Counts& c) {
    passed += c.passed;
    failed += c.failed;
    unsupported += c.unsupported;
    foreign += c.foreign;
    unknown += c.unknown;
    return *this;
  }
  int numbers() const { return passed + failed + unsupported; }
  int known() const { return numbers() + foreign; }
};

std::vector<std::string> row(const std::string& name, const Counts& c) {
  const auto cell = [](int n) { return n > 0 ? std::to_string(n) : std::string(); };
  return {name,           cell(c.passed), cell(c.failed), cell(c.unsupported), cell(c.foreign),
          cell(c.unknown)};
}

std::string countsText(const std::string& what, const std::map<std::string, Counts>& counts) {
  Table table{{{what},
               {"passed", true},
               {"failed", true},
               {"unsupported", true},
               {"no numbers", true},
               {"unknown operator", true}},
              {}};
  Counts all;
  for (const auto& [name, c] : counts) {
    table.rows.push_back(row(name, c));
    all += c;
  }
  table.rows.push_back(row("all", all));
  return render(table, TableFormat::text) + "\n";
}

std::string totalsText(const Counts& c) {
  const auto share = [&](int of) { return of > 0 ? 100.0 * c.passed / of : 0.0; };
  return fmt::format(
      "{} cases: {} passed, {} failed, {} unsupported\n"
      "{:.1f} % passed of the {} whose operators are known; {:.1f} % of the {} of these whose "
      "inputs and outputs are tensors of numbers of 8 bits and more\n",
      c.known() + c.unknown, c.passed, c.failed, c.unsupported + c.foreign + c.unknown,
      share(c.known()), c.known(), share(c.numbers()), c.numbers());
}

std::string casesText(const std::vector<OnnxCaseResult>& results) {
  Table others{{{"case"}, {"outcome"}, {"reason"}}, {}};
  std::map<std::string, Counts> operators, folders;
  Counts all;
  for (const OnnxCaseResult& r : results) {
    const std::filesystem::path folder(r.folder);
    all.add(r);
    operators[r.op].add(r);
    folders[folder.parent_path().filename().string()].add(r);
    if (r.outcome == OnnxCaseResult::passed) continue;
    others.rows.push_back({folder.filename().string(),
                           r.outcome == OnnxCaseResult::failed ? "failed" : "unsupported",
                           r.reason.substr(0, 160)});
  }
  std::string out;
  if (!others.rows.empty()) out += render(others, TableFormat::text) + "\n";
  out += countsText("operator", operators);
  if (folders.size() > 1) out += countsText("folder", folders);
  return out + totalsText(all);
}

class PredictCommand : public Command {
 public:
  explicit PredictCommand(CLI::App& app) : Command(&app) {
    app.add_option("MODEL", model_, "An .onnx file");
    app.add_option(
           "--input", inputs_,
           "Value of an input: .npy, .pb (ONNX) or IDX; without a name in the model's order "
           "(repeatable)")
        ->type_name("[NAME=]FILE")
        ->allow_extra_args(false);
    app.add_option("--output", outputs_,
                   "Where to write an output: .npy or .pb; without any, outputs are described "
                   "(repeatable)")
        ->type_name("[NAME=]FILE")
        ->allow_extra_args(false);
    app.add_option("--dim", dims_, "Size that a symbolic dimension must have (repeatable)")
        ->type_name("NAME=N")
        ->allow_extra_args(false);
    app.add_option("--cases", cases_, "Run all conformance cases of ONNX below a folder instead")
        ->type_name("FOLDER");
    app.add_option("--threads", threads_, "Threads of the kernels (default: one per core)")
        ->type_name("N")
        ->check(countUpTo(1024));
    format_.addTo(app, {"table", "json"});
  }

  int run() override {
    if (!cases_.empty()) return runCases();
    if (model_.empty())
      throw Error(ErrorKind::usage, "no model is given",
                  "`meshplan predict --help` shows examples");
    return predict();
  }

 private:
  int threads() const {
    const auto cores = static_cast<int>(std::thread::hardware_concurrency());
    return threads_ > 0 ? threads_ : std::max(cores, 1);
  }

  int predict() {
    checkOutputs(outputs_);
    const OnnxFileReader file(model_);
    OnnxEvaluator evaluator(file, threads());
    const std::vector<size_t> targets = assign(outputs_, evaluator.outputs(), "--output");
    const std::vector<HostTensor> results = evaluate(evaluator);
    for (size_t i = 0; i < targets.size(); ++i) {
      const OnnxPort& port = evaluator.outputs()[targets[i]];
      const HostTensor& value = results[targets[i]];
      writeTensor(namedFile(outputs_[i]).path, value, port.name, port.code);
    }
    if (targets.empty()) print(described(evaluator.outputs(), results));
    return 0;
  }

  std::vector<HostTensor> evaluate(OnnxEvaluator& evaluator) {
    std::map<std::string, HostTensor> values;
    const std::vector<size_t> sources = assign(inputs_, evaluator.inputs(), "--input");
    for (size_t i = 0; i < sources.size(); ++i)
      values.emplace(evaluator.inputs()[sources[i]].name, readTensor(namedFile(inputs_[i]).path));
    if (values.size() < evaluator.inputs().size())
      throw Error(ErrorKind::usage, "not every input of the model has a value",
                  "give one --input each: " + describe(evaluator.inputs()))
          .inFile(model_);
    ModelArguments arguments;
    arguments.dims = dims_;
    try {
      return evaluator.run(std::move(values), arguments.request().dims);
    } catch (const Error& e) {
      throw e.inFile(model_);
    }
  }

  std::string described(const std::vector<OnnxPort>& ports,
                        const std::vector<HostTensor>& results) const {
    Table table{{{"output"}, {"type"}, {"smallest", true}, {"mean", true}, {"largest", true}}, {}};
    ordered_json all = ordered_json::array();
    for (size_t i = 0; i < results.size(); ++i) {
      const TensorType& type = results[i].type();
      const std::vector<double> values = toDoubles(results[i]);
      double low = 0, high = 0, sum = 0;
      for (size_t k = 0; k < values.size(); ++k) {
        low = k == 0 ? values[k] : std::min(low, values[k]);
        high = k == 0 ? values[k] : std::max(high, values[k]);
        sum += values[k];
      }
      const double mean = values.empty() ? 0 : sum / static_cast<double>(values.size());
      table.rows.push_back(
          {ports[i].name, std::string(dtypeName(type.dtype)) + shapeText(type.shape),
           fmt::format("{:.6g}", low), fmt::format("{:.6g}", mean), fmt::format("{:.6g}", high)});
      all.push_back({{"name", ports[i].name},
                     {"dtype", dtypeName(type.dtype)},
                     {"shape", type.shape},
                     {"smallest", low},
                     {"mean", mean},
                     {"largest", high}});
    }
    return format_.format() == Format::json ? dumpJson({{"outputs", all}})
                                            : render(table, TableFormat::text);
  }

  int runCases() const {
    const std::vector<std::string> folders = findOnnxCases(cases_);
    std::vector<OnnxCaseResult> results;
    bool failed = false;
    for (const std::string& folder : folders) {
      showProgress(fmt::format("{} of {}: {}", results.size() + 1, folders.size(), folder));
      results.push_back(runOnnxCase(folder, threads()));
      failed = failed || results.back().outcome == OnnxCaseResult::failed;
    }
    clearProgress();
    ordered_json all = ordered_json::array();
    for (const OnnxCaseResult& r : results) all.push_back(toJson(r));
    print(format_.format() == Format::json ? dumpJson({{"cases", all}}) : casesText(results));
    return failed ? exitCode(ErrorKind::runtime) : 0;
  }

  std::string model_, cases_;
  std::vector<std::string> inputs_, outputs_, dims_;
  FormatArgument format_;
  int threads_ = 0;
};

}  // namespace

std::unique_ptr<Command> predictCommand(CLI::App& parent) {
  return std::make_unique<PredictCommand>(*parent.add_subcommand("predict", kDescription));
}

}  // namespace meshplan
