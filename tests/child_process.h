// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace meshplan {

/// Whether the condition held in time; it is asked every 5 ms.
bool waitUntil(const std::function<bool()>& condition,
               std::chrono::seconds within = std::chrono::seconds(20));

/// A program that runs beside the test, with what it prints in FOLDER/NAME.out and .err; killed at
/// the end if it still runs. `environment` is added as "NAME=value".
class ChildProcess {
 public:
  ChildProcess(const std::filesystem::path& folder, const std::string& name,
               const std::vector<std::string>& command,
               const std::vector<std::string>& environment = {});
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  std::string output() const;
  std::string errors() const;
  /// The exit code, 128 + signal, or -1 when it does not end in time.
  int wait(std::chrono::seconds within = std::chrono::seconds(30));

 private:
  std::filesystem::path out_, err_;
  pid_t pid_ = -1;
  int exit_ = -1;
};

}  // namespace meshplan
