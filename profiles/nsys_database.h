// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "profiles/device_name.h"

namespace meshplan {

/// The tables of an export of Nsight Systems that kernels and ranges are read from, whatever
/// columns this version of it has. Include this header in .cpp files only. Throws SQLite::Exception
/// for a damaged file and Error(input) for a missing table.
class NsysDatabase {
 public:
  struct Launch {
    uint64_t thread = 0;  // globalTid: process in bits 24 to 47
    int64_t correlation = 0, start = 0;
  };
  struct Kernel {
    uint64_t process = 0;  // globalPid; 0: the version does not say
    int64_t correlation = 0, start = 0, end = 0;
    std::string name;
  };
  struct Range {
    uint64_t thread = 0;
    int64_t start = 0, end = 0;
    std::string text, payload;  // payload: JSON, empty where there is none
  };

  explicit NsysDatabase(const std::string& path);

  bool has(const std::string& table) const { return columns_.count(table) != 0; }
  bool has(const std::string& table, const std::string& column) const;

  ReportedDevice device();
  void launches(const std::function<void(const Launch&)>& onLaunch);
  void kernels(const std::function<void(const Kernel&)>& onKernel);
  /// Ranges of push and pop and of start and end, closed ones.
  void ranges(const std::function<void(const Range&)>& onRange);

 private:
  void require(const std::string& table, const std::string& without) const;
  std::string columnOr(const std::string& table, const std::string& column,
                       const std::string& otherwise) const;
  /// SQL of a text kept in the column itself or, as an id, in StringIds.
  std::string textOf(const std::string& table, const std::vector<std::string>& columns) const;

  SQLite::Database database_;
  std::map<std::string, std::set<std::string>> columns_;  // by table
};

}  // namespace meshplan
