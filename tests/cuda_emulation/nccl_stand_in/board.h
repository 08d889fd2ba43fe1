// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

/// What ranks tell each other by name: threads of one process in its memory, processes through a
/// folder. What was posted stays until so many have read it; in a folder it stays.
class Board {
 public:
  using Bytes = std::vector<std::byte>;
  virtual ~Board() = default;

  virtual void post(const std::string& name, Bytes bytes) = 0;
  virtual bool has(const std::string& name) = 0;
  virtual Bytes read(const std::string& name, int readers) = 0;
};

/// In the folder that MESHPLAN_NCCL_STAND_IN_FOLDER names; else in memory.
std::unique_ptr<Board> openBoard();
