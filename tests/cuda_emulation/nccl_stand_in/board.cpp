// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda_emulation/nccl_stand_in/board.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace {

class MemoryBoard final : public Board {
 public:
  void post(const std::string& name, Bytes bytes) override {
    const std::lock_guard lock(mutex_);
    posts_[name] = {std::move(bytes), 0};
  }
  bool has(const std::string& name) override {
    const std::lock_guard lock(mutex_);
    return posts_.count(name) > 0;
  }
  Bytes read(const std::string& name, int readers) override {
    const std::lock_guard lock(mutex_);
    Post& post = posts_.at(name);
    if (++post.read < readers) return post.bytes;
    Bytes bytes = std::move(post.bytes);
    posts_.erase(name);
    return bytes;
  }

 private:
  struct Post {
    Bytes bytes;
    int read = 0;
  };
  std::mutex mutex_;
  std::map<std::string, Post> posts_;
};

class FolderBoard final : public Board {
 public:
  explicit FolderBoard(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void post(const std::string& name, Bytes bytes) override {
    const auto written =
        folder_ / ("new." + std::to_string(getpid()) + "." + std::to_string(++count_));
    std::ofstream(written, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    std::filesystem::rename(written, folder_ / name);
  }
  bool has(const std::string& name) override { return std::filesystem::exists(folder_ / name); }
  Bytes read(const std::string& name, int) override {
    Bytes bytes(std::filesystem::file_size(folder_ / name));
    std::ifstream(folder_ / name, std::ios::binary)
        .read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
  }

 private:
  const std::filesystem::path folder_;
  std::atomic<int> count_ = 0;
};

}  // namespace

std::unique_ptr<Board> openBoard() {
  if (const char* folder = std::getenv("MESHPLAN_NCCL_STAND_IN_FOLDER"))
    return std::make_unique<FolderBoard>(folder);
  return std::make_unique<MemoryBoard>();
}
