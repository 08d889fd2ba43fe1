// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "profiles/imported.h"

namespace meshplan {

/// One row of a run of nccl-tests: a size, and the times of one direction of buffers.
struct NcclTestsRow {
  int64_t size = 0;   // bytes, as printed
  std::string redop;  // "sum", "none"; empty where there is no such column
  int64_t root = -1;
  double algbw = 0, busbw = 0;  // GB/s
  std::vector<double> seconds;
};

/// One program of nccl-tests run once over its sizes.
struct NcclTestsRun {
  struct Rank {
    int64_t group = 0;
    std::string host, device;
  };
  std::string program;  // as called, "./all_reduce_perf"; empty: the file does not say
  std::vector<Rank> ranks;
  std::string ncclVersion, testsVersion;
  std::vector<NcclTestsRow> rows;
  std::vector<NcclTestsRow> wrong;  // with wrong results

  /// Hands the rows on as measurements. Where the program is not known its collective follows from
  /// the file's name or, if only one is possible, from redop, root and the two bandwidths. Throws
  /// Error(usage) when neither the file nor the options name the device.
  void collect(const Source& source, const ImportOptions& options,
               ImportCollector& collector) const;
};

/// NCCL_VERSION_CODE as people write it: 22703 is 2.27.3, 2708 is 2.7.8.
std::string ncclVersionText(int64_t code);

}  // namespace meshplan
