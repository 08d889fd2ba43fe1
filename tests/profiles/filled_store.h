// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "profiles/profile_store.h"

namespace meshplan {

/// A folder in memory where there is one: tests of processes that share a store need no disk.
std::filesystem::path quickDisk();
std::string bytesOf(const std::string& path);

/// Runs `work` in a process of its own, which ends with what it returns.
pid_t inChild(const std::function<int()>& work);
/// Waits for it: its exit code, or 128 and the signal that ended it.
int statusOf(pid_t child);

/// A row of this device that its number tells from others.
CollectiveMeasurement numbered(const std::string& device, int64_t number);
std::vector<OperatorMeasurement> operatorRows(uint32_t from, uint32_t count);
/// A store of several pages with rows in every table, 30 of them operators.
std::string filledStore(const std::string& path);

}  // namespace meshplan
