// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "profiles/imported.h"

namespace meshplan {

/// Reads what nccl-tests (github.com/NVIDIA/nccl-tests, src/util.cu) print, or write with `-J`: one
/// or several collectives, out of place and in place. Lines of other programs in between are passed
/// over, prefixes of mpirun and srun too. Columns are found by their headings, because versions
/// differ. Left out: collectives that no plan has, wrong results, `-C` (the time of the host).
///
/// The size printed is, per collective: all-reduce, broadcast and sendrecv the buffer; all-gather
/// and reduce-scatter the whole buffer, which is S; all-to-all the buffer of one rank, of which S
/// is `ranks` times as much. sendrecv sends around a ring, so that a pair is the group.
///
/// Throws Error(input) naming file and line for a row that is cut off, is no row of its heading, or
/// has no list of ranks before it, and for a file without any row.
void importNcclTests(const std::string& path, const ImportOptions& options,
                     ImportCollector& collector);
/// The same from text; `source` names its file.
void importNcclTestsText(const std::string& text, const Source& source,
                         const ImportOptions& options, ImportCollector& collector);
void importNcclTestsJson(const std::string& text, const Source& source,
                         const ImportOptions& options, ImportCollector& collector);

}  // namespace meshplan
