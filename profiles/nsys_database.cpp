// SPDX-License-Identifier: Apache-2.0
#include "profiles/nsys_database.h"

#include <fmt/format.h>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr const char* kKernels = "CUPTI_ACTIVITY_KIND_KERNEL";
constexpr const char* kRuntime = "CUPTI_ACTIVITY_KIND_RUNTIME";
constexpr const char* kNvtx = "NVTX_EVENTS";
constexpr const char* kDevices = "TARGET_INFO_GPU";
constexpr const char* kStrings = "StringIds";

}  // namespace

NsysDatabase::NsysDatabase(const std::string& path) : database_(path, SQLite::OPEN_READONLY) {
  SQLite::Statement tables(database_,
                           "SELECT m.name, c.name FROM sqlite_master AS m, "
                           "pragma_table_info(m.name) AS c WHERE m.type = 'table'");
  while (tables.executeStep())
    columns_[tables.getColumn(0).getString()].insert(tables.getColumn(1).getString());
  if (!has(kKernels) && !has(kNvtx) && !has(kStrings))
    throw Error(ErrorKind::input, "is no export of Nsight Systems",
                "make one with `nsys export --type sqlite REPORT.nsys-rep`");
}

bool NsysDatabase::has(const std::string& table, const std::string& column) const {
  const auto it = columns_.find(table);
  return it != columns_.end() && it->second.count(column) != 0;
}

void NsysDatabase::require(const std::string& table, const std::string& without) const {
  if (!has(table))
    throw Error(ErrorKind::input, fmt::format("has no table {}: {}", table, without),
                "profile with `nsys profile --trace cuda,nvtx`");
}

std::string NsysDatabase::columnOr(const std::string& table, const std::string& column,
                                   const std::string& otherwise) const {
  return has(table, column) ? "t." + column : otherwise;
}

std::string NsysDatabase::textOf(const std::string& table,
                                 const std::vector<std::string>& columns) const {
  std::string choices = "NULL, NULL";
  for (const std::string& column : columns) {
    if (!has(table, column)) continue;
    const bool id = column.ends_with("Id") || column.ends_with("Name");
    choices += id && has(kStrings)
                   ? fmt::format(", (SELECT value FROM StringIds WHERE id = t.{})", column)
                   : ", t." + column;
  }
  return "COALESCE(" + choices + ", '')";
}

ReportedDevice NsysDatabase::device() {
  ReportedDevice device;
  if (!has(kDevices, "name")) return device;
  SQLite::Statement query(database_, fmt::format("SELECT t.name, {}, {} FROM {} AS t LIMIT 1",
                                                 columnOr(kDevices, "totalMemory", "0"),
                                                 columnOr(kDevices, "smCount", "0"), kDevices));
  if (!query.executeStep()) return device;
  device.name = query.getColumn(0).getString();
  device.memory = Bytes(query.getColumn(1).getInt64());
  device.multiprocessors = query.getColumn(2).getInt64();
  return device;
}

void NsysDatabase::launches(const std::function<void(const Launch&)>& onLaunch) {
  require(kRuntime, "no call of CUDA was recorded");
  SQLite::Statement query(
      database_,
      fmt::format("SELECT t.globalTid, t.correlationId, t.start FROM {} AS t", kRuntime));
  while (query.executeStep())
    onLaunch({static_cast<uint64_t>(query.getColumn(0).getInt64()), query.getColumn(1).getInt64(),
              query.getColumn(2).getInt64()});
}

void NsysDatabase::kernels(const std::function<void(const Kernel&)>& onKernel) {
  require(kKernels, "no kernel was recorded");
  SQLite::Statement query(
      database_,
      fmt::format("SELECT {}, t.correlationId, t.start, t.\"end\", {} FROM {} AS t",
                  columnOr(kKernels, "globalPid", "0"),
                  textOf(kKernels, {"demangledName", "shortName", "mangledName"}), kKernels));
  while (query.executeStep())
    onKernel({static_cast<uint64_t>(query.getColumn(0).getInt64()), query.getColumn(1).getInt64(),
              query.getColumn(2).getInt64(), query.getColumn(3).getInt64(),
              query.getColumn(4).getString()});
}

void NsysDatabase::ranges(const std::function<void(const Range&)>& onRange) {
  require(kNvtx, "no range of NVTX was recorded");
  const std::string type = has(kNvtx, "eventType") ? " AND t.eventType IN (59, 60)" : "";
  SQLite::Statement query(database_,
                          fmt::format("SELECT t.globalTid, t.start, t.\"end\", {}, {} FROM {} AS t "
                                      "WHERE t.\"end\" IS NOT NULL{}",
                                      textOf(kNvtx, {"text", "textId"}),
                                      textOf(kNvtx, {"jsonText", "jsonTextId"}), kNvtx, type));
  while (query.executeStep())
    onRange({static_cast<uint64_t>(query.getColumn(0).getInt64()), query.getColumn(1).getInt64(),
             query.getColumn(2).getInt64(), query.getColumn(3).getString(),
             query.getColumn(4).getString()});
}

}  // namespace meshplan
