// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/mapped_file.h"
#include "profiles/nccl_tests_import.h"
#include "profiles/nccl_tests_run.h"

namespace meshplan {
namespace {

using Words = std::vector<std::string_view>;

Words wordsOf(std::string_view line) {
  Words words;
  size_t i = 0;
  while ((i = line.find_first_not_of(" \t\r", i)) != std::string_view::npos) {
    const size_t end = std::min(line.find_first_of(" \t\r", i), line.size());
    words.push_back(line.substr(i, end - i));
    i = end;
  }
  return words;
}

/// Without what mpirun --tag-output ("[1,0]<stdout>:") or srun --label ("0: ") put in front.
std::string_view withoutPrefix(std::string_view line) {
  const size_t tag = line.find(">:");
  if (line.starts_with('[') && tag != std::string_view::npos && tag < 40)
    return line.substr(tag + 2);
  const size_t digits = line.find_first_not_of(" 0123456789");
  if (digits != std::string_view::npos && digits > 0 && line.substr(digits).starts_with(": "))
    return line.substr(digits + 2);
  return line;
}

template <class T>
std::optional<T> number(std::string_view word) {
  T value{};
  const auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (failed != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

/// Where each column of a row stands, from the words of the heading.
struct Heading {
  struct Times {
    size_t time, algbw, busbw;
    std::optional<size_t> wrong;
  };
  size_t size = 0, columns = 0;
  std::optional<size_t> redop, root;
  std::vector<Times> times;
  bool ofHost = false, stamped = false;
};

std::optional<size_t> indexOf(const Words& words, std::string_view name, size_t from = 0) {
  const auto at = std::find(words.begin() + static_cast<ptrdiff_t>(from), words.end(), name);
  if (at == words.end()) return std::nullopt;
  return static_cast<size_t>(at - words.begin());
}

std::optional<Heading> headingOf(Words words) {
  if (words.size() < 6 || words[0] != "#" || words[1] != "size") return std::nullopt;
  words.erase(words.begin());
  Heading h;
  h.ofHost = indexOf(words, "cputime").has_value();
  std::replace(words.begin(), words.end(), std::string_view("cputime"), std::string_view("time"));
  h.stamped = words.back() == "timestamp";
  h.columns = words.size() + (h.stamped ? 1 : 0);  // date and time of day
  h.redop = indexOf(words, "redop");
  h.root = indexOf(words, "root");
  for (auto time = indexOf(words, "time"); time; time = indexOf(words, "time", *time + 1)) {
    const auto algbw = indexOf(words, "algbw", *time), busbw = indexOf(words, "busbw", *time);
    if (!algbw || !busbw) return std::nullopt;
    const auto next = indexOf(words, "time", *time + 1), wrong = indexOf(words, "#wrong", *time);
    if (next && (*algbw > *next || *busbw > *next)) return std::nullopt;
    const bool own = wrong && (!next || *wrong < *next);
    h.times.push_back({*time, *algbw, *busbw, own ? wrong : std::nullopt});
  }
  return h.times.empty() ? std::nullopt : std::optional(h);
}

class Reader {
 public:
  Reader(const Source& source, const ImportOptions& options, ImportCollector& collector)
      : source_(source), options_(options), collector_(collector) {}

  void read(std::string_view text) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      ++line_;
      readLine(withoutPrefix(text.substr(begin, end - begin)));
      begin = end + 1;
    }
    finishRun();
    if (rows_ == 0)
      throw Error(ErrorKind::input, "holds no row of nccl-tests",
                  "give the output of all_reduce_perf or another of its programs");
  }

 private:
  [[noreturn]] void refuse(const std::string& problem, const std::string& remedy) const {
    throw Error(ErrorKind::input, problem, remedy).at(fmt::format("line {}", line_));
  }

  void readLine(std::string_view line) {
    const Words words = wordsOf(line);
    if (words.empty()) return;
    if (words[0] == "#" || words[0].starts_with("#")) return readComment(line, words);
    if (line.find("NCCL version") != std::string_view::npos) readVersion(words);
    if (heading_ && number<int64_t>(words[0])) return readRow(words);
    if (const size_t name = line.find("_perf"); name != std::string_view::npos)
      rememberProgram(words);
  }

  void rememberProgram(const Words& words) {
    for (std::string_view w : words)
      if (w.find("_perf") != std::string_view::npos) program_ = w;
  }

  void readComment(std::string_view line, const Words& words) {
    if (words.size() > 1 && words[1] == "nThread") return startRun();
    if (words.size() > 1 && words[1] == "Rank") return readRank(words);
    if (auto heading = headingOf(words)) heading_ = heading;
    if (line.find("Collective test starting:") != std::string_view::npos) program_ = words.back();
    readLibraries(words);
  }

  void startRun() {
    finishRun();
    run_ = {};
    run_.program = std::exchange(program_, {});
    run_.ncclVersion = ncclVersion_;
    run_.testsVersion = testsVersion_;
    heading_.reset();
  }

  void readLibraries(const Words& words) {
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i].starts_with("nccl-library="))
        ncclVersion_ = ncclVersionText(number<int64_t>(words[i].substr(13)).value_or(0));
      if (words[i] == "version" && i > 0 && words[i - 1] == "nccl-tests" && i + 1 < words.size())
        testsVersion_ = words[i + 1];
    }
  }

  /// "NCCL version 2.19.3+cuda12.2", which NCCL itself prints.
  void readVersion(const Words& words) {
    const auto at = indexOf(words, "version");
    if (!at || *at + 1 >= words.size()) return;
    run_.ncclVersion = std::string(words[*at + 1].substr(0, words[*at + 1].find('+')));
  }

  /// "#  Rank  0 Group  0 Pid  43 on HOST device  0 [0000:0f:00] NVIDIA A100-SXM4-40GB"; early
  /// versions have no group.
  void readRank(const Words& words) {
    const auto on = indexOf(words, "on"), device = indexOf(words, "device");
    const auto group = indexOf(words, "Group");
    if (!on || *on + 1 >= words.size() || !device || *device + 3 >= words.size())
      refuse("a rank without host or device", "check that the file is complete");
    NcclTestsRun::Rank rank;
    rank.host = words[*on + 1];
    if (group && *group < *on) rank.group = number<int64_t>(words[*group + 1]).value_or(0);
    rank.device = fmt::format(
        "{}", fmt::join(words.begin() + static_cast<ptrdiff_t>(*device) + 3, words.end(), " "));
    run_.ranks.push_back(std::move(rank));
  }

  void readRow(const Words& words) {
    if (run_.ranks.empty())
      refuse("a row without a list of ranks ('#  Rank  0 ...') before it", "give the whole output");
    // Replayed traces leave the columns out of place empty.
    const size_t block = heading_->times.size() > 1
                             ? heading_->times[1].time - heading_->times[0].time
                             : heading_->columns;
    const bool inPlaceOnly = words.size() + block == heading_->columns;
    if (words.size() != heading_->columns && !inPlaceOnly)
      refuse(fmt::format("{} columns where the heading has {}", words.size(), heading_->columns),
             "the row is cut off or not one of nccl-tests; remove it");
    for (size_t i = 0; i < heading_->times.size() - (inPlaceOnly ? 1 : 0); ++i)
      addRow(words, heading_->times[i]);
  }

  /// Rows of replayed traces are shorter than their heading.
  std::string_view wordAt(const Words& words, size_t column) const {
    if (column >= words.size()) refuse("a column of the heading is missing", "remove the row");
    return words[column];
  }

  double timeAt(const Words& words, size_t column) const {
    const auto value = number<double>(wordAt(words, column));
    if (!value || !std::isfinite(*value) || *value < 0)
      refuse(fmt::format("'{}' is no time or bandwidth", words[column].substr(0, 40)),
             "check that the file is complete");
    return *value;
  }

  void addRow(const Words& words, const Heading::Times& at) {
    NcclTestsRow row;
    const auto size = number<int64_t>(words[heading_->size]);
    if (!size || *size < 0) refuse("a size is negative", "check that the file is complete");
    row.size = *size;
    if (heading_->redop) row.redop = wordAt(words, *heading_->redop);
    if (heading_->root) row.root = number<int64_t>(wordAt(words, *heading_->root)).value_or(-1);
    row.algbw = timeAt(words, at.algbw);
    row.busbw = timeAt(words, at.busbw);
    row.seconds = {timeAt(words, at.time) * 1e-6};
    ++rows_;
    if (heading_->ofHost)
      collector_.leaveOut("all sizes", "the host was timed, not the collective (-C)",
                          row.seconds[0]);
    else if (at.wrong && number<double>(wordAt(words, *at.wrong)).value_or(0) > 0)
      run_.wrong.push_back(std::move(row));
    else
      run_.rows.push_back(std::move(row));
  }

  void finishRun() { run_.collect(source_, options_, collector_); }

  const Source& source_;
  const ImportOptions& options_;
  ImportCollector& collector_;
  NcclTestsRun run_;
  std::optional<Heading> heading_;
  std::string program_, ncclVersion_, testsVersion_;
  int64_t line_ = 0, rows_ = 0;
};

}  // namespace

void importNcclTestsText(const std::string& text, const Source& source,
                         const ImportOptions& options, ImportCollector& collector) {
  try {
    Reader(source, options, collector).read(text);
  } catch (const Error& e) {
    throw e.inFile(source.text);
  }
}

void importNcclTests(const std::string& path, const ImportOptions& options,
                     ImportCollector& collector) {
  const MappedFile file(path);
  const std::string text(file.bytes());
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string::npos && text[first] == '{';
  (json ? importNcclTestsJson : importNcclTestsText)(text, importedSource(path), options,
                                                     collector);
}

}  // namespace meshplan
