// SPDX-License-Identifier: Apache-2.0
#include "profiles/imported.h"

#include <sys/stat.h>

#include <algorithm>

#include "core/error.h"
#include "core/mapped_file.h"
#include "profiles/device_name.h"

namespace meshplan {
namespace {

constexpr size_t kBytesThatTell = 1 << 16;

double sumOf(const std::vector<double>& seconds) {
  double sum = 0;
  for (double s : seconds) sum += s;
  return sum;
}

/// The newest source stands for all.
void keepNewer(Source& known, const Source& other) {
  if (other.time > known.time) known = other;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

ImportFormat jsonFormat(std::string_view start) {
  const bool ofNccl = has(start, "\"nccl_version\"") || has(start, "\"env\"");
  const bool ofKineto = has(start, "\"traceEvents\"") || has(start, "\"schemaVersion\"");
  return ofNccl && !ofKineto ? ImportFormat::ncclTests : ImportFormat::kineto;
}

}  // namespace

void ImportCollector::setOrigin(Environment environment, Source source) {
  environment_ = std::move(environment);
  source_ = std::move(source);
}

void ImportCollector::addOperator(const std::vector<NamedWork>& works, double seconds) {
  const Place place{environment_.device, environment_.libraries};
  for (const NamedWork& named : works) {
    auto& timings = operators_[{place, workKey(named.work)}];
    if (timings.seconds.empty()) {
      timings.row.environment = environment_;
      timings.row.work = named.work;
      timings.row.types = named.types;
    }
    keepNewer(timings.row.source, source_);
    timings.seconds.push_back(seconds);
  }
  ++imported_.taken;
  imported_.takenTime += Seconds(seconds);
}

void ImportCollector::addCollective(const CollectiveMeasurement& row,
                                    const std::vector<double>& seconds) {
  const Place place{environment_.device, environment_.libraries};
  auto& timings =
      collectives_[{place, row.kind, row.bytes.value, row.ranks, row.nodes, row.groups}];
  if (timings.seconds.empty()) {
    timings.row = row;
    timings.row.environment = environment_;
    timings.row.source = source_;
  }
  keepNewer(timings.row.source, source_);
  timings.seconds.insert(timings.seconds.end(), seconds.begin(), seconds.end());
  imported_.taken += static_cast<int64_t>(seconds.size());
  imported_.takenTime += Seconds(sumOf(seconds));
}

void ImportCollector::leaveOut(const std::string& what, const std::string& reason, double seconds) {
  LeftOut& entry = leftOut_[{reason, what}];
  entry.what = what;
  entry.reason = reason;
  ++entry.count;
  entry.time += Seconds(seconds);
}

void ImportCollector::note(const std::string& text) {
  auto& notes = imported_.notes;
  if (std::find(notes.begin(), notes.end(), text) == notes.end()) notes.push_back(text);
}

Imported ImportCollector::finish() {
  for (auto& [key, timings] : operators_) {
    timings.row.source.origin = Origin::imported;
    timings.row.samples = summarise(std::move(timings.seconds));
    imported_.operators.push_back(std::move(timings.row));
  }
  for (auto& [key, timings] : collectives_) {
    timings.row.source.origin = Origin::imported;
    timings.row.samples = summarise(std::move(timings.seconds));
    imported_.collectives.push_back(std::move(timings.row));
  }
  for (auto& [key, entry] : leftOut_) imported_.leftOut.push_back(std::move(entry));
  std::stable_sort(imported_.leftOut.begin(), imported_.leftOut.end(),
                   [](const LeftOut& a, const LeftOut& b) { return a.time > b.time; });
  return std::move(imported_);
}

std::string importedDevice(const ImportOptions& options, const std::string& name, Bytes memory,
                           int64_t multiprocessors, ImportCollector& collector) {
  if (!options.device.empty()) return catalogueSpelling(options.device);
  if (name.empty())
    throw Error(ErrorKind::usage, "the file does not say which device was measured",
                "give --device NAME; `meshplan clusters` lists the names");
  const DeviceMatch match = matchDevice({name, memory, multiprocessors});
  if (!match.doubt.empty())
    collector.note(match.doubt + "; rows are kept under '" + match.name +
                   "', --device NAME says otherwise");
  return match.name;
}

Source importedSource(const std::string& path) {
  struct stat info = {};
  const bool known = ::stat(path.c_str(), &info) == 0;
  return {Origin::imported, path, known ? static_cast<int64_t>(info.st_mtime) : 0};
}

ImportFormat importFormatOf(const std::string& path) {
  const MappedFile file(path);
  const std::string_view start = file.bytes().substr(0, kBytesThatTell);
  if (start.starts_with("SQLite format 3")) return ImportFormat::nsys;
  if (start.starts_with("\x1f\x8b")) return ImportFormat::kineto;
  const size_t first = start.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return ImportFormat::ncclTests;
  // "[1,0]<stdout>:" begins a line of mpirun, not an array.
  if (start[first] == '[') {
    const size_t next = start.find_first_not_of(" \t\r\n", first + 1);
    const bool events =
        next != std::string_view::npos && (start[next] == '{' || start[next] == ']');
    return events ? ImportFormat::kineto : ImportFormat::ncclTests;
  }
  return start[first] == '{' ? jsonFormat(start) : ImportFormat::ncclTests;
}

}  // namespace meshplan
