// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "profiles/measurement.h"

namespace meshplan {

/// Something of a file that became no measurement, and why.
struct LeftOut {
  std::string what, reason;
  int64_t count = 0;
  Seconds time;  // 0 where the file gives none
};

/// What a reader took from files of another tool: timings of the same work on the same device are
/// one measurement. `taken` timings of `takenTime` in all are in the rows; one timing may be under
/// several keys, because graphs name the same work differently.
struct Imported {
  std::vector<OperatorMeasurement> operators;
  std::vector<CollectiveMeasurement> collectives;
  int64_t taken = 0;
  Seconds takenTime;
  std::vector<LeftOut> leftOut;  // most time first
  std::vector<std::string> notes;
};

/// An operator's work as some graph has it, and its tensors for people.
struct NamedWork {
  OperatorWork work;
  std::string types;
};

/// Sums up timings. Rows come out in the order of their keys, so that the same files give the same
/// rows.
class ImportCollector {
 public:
  /// Where what is added from now on was measured.
  void setOrigin(Environment environment, Source source);

  /// One timing of work that graphs may name in several ways.
  void addOperator(const std::vector<NamedWork>& works, double seconds);
  /// Timings (or means of some) of a collective; the row's samples are ignored.
  void addCollective(const CollectiveMeasurement& row, const std::vector<double>& seconds);
  void leaveOut(const std::string& what, const std::string& reason, double seconds);
  /// Said once, however often it is noted.
  void note(const std::string& text);

  Imported finish();

 private:
  using Place = std::tuple<std::string, std::string>;  // device, libraries
  template <class Row>
  struct Timings {
    Row row;
    std::vector<double> seconds;
  };

  Environment environment_;
  Source source_;
  std::map<std::tuple<Place, uint64_t>, Timings<OperatorMeasurement>> operators_;
  std::map<std::tuple<Place, CollectiveKind, int64_t, int64_t, int64_t, int64_t>,
           Timings<CollectiveMeasurement>>
      collectives_;
  std::map<std::pair<std::string, std::string>, LeftOut> leftOut_;
  Imported imported_;
};

/// What the readers are told besides their files: the device, for files that do not say it or say
/// it wrong. A name of the catalogue, in any spelling, becomes the catalogue's.
struct ImportOptions {
  std::string device;
};

/// The device's name for rows: `options.device`, else the catalogue's name of what the file says,
/// with a note where that is in doubt. Throws Error(usage) when neither says anything.
std::string importedDevice(const ImportOptions& options, const std::string& name, Bytes memory,
                           int64_t multiprocessors, ImportCollector& collector);

/// The file's path as the source of rows, and when it was last written.
Source importedSource(const std::string& path);

enum class ImportFormat : uint8_t { ncclTests, nsys, kineto };
/// By the first bytes of the file. Throws Error(input) naming it when it cannot be read.
ImportFormat importFormatOf(const std::string& path);

}  // namespace meshplan
