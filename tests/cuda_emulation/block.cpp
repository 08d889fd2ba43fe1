// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda_emulation/block.h"

#include "tests/cuda_emulation/cuda_runtime.h"

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <stdexcept>
#include <vector>

namespace meshplan::emulation {
namespace {

namespace context = boost::context;

constexpr size_t kStackBytes = 128 << 10;

enum class Wait : uint8_t { none, warp, block, over };

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};

struct Lane {
  uint3 index;
  context::fiber fiber;
  Wait wait = Wait::none;
  unsigned mask = 0;
  std::vector<Copy> copies;               // not committed
  std::vector<std::vector<Copy>> groups;  // oldest first
};

/// Values that the lanes of a warp show each other; two sets, so that a lane may be one ahead.
struct Warp {
  uint64_t values[2][32];
  uint8_t parity[32] = {};
};

class Block {
 public:
  Block(const cudaLaunchConfig_t& config, const std::function<void()>& body,
        context::pooled_fixedsize_stack& stacks)
      : body_(body),
        stacks_(stacks),
        size_(config.blockDim),
        lanes_(size_t(size_.x) * size_.y * size_.z),
        warps_((lanes_.size() + 31) / 32),
        shared_(config.dynamicSmemBytes / sizeof(std::max_align_t) + 1) {}

  void run(uint3 index);

  Lane* running = nullptr;
  void wait(Wait wait, unsigned mask);
  const uint64_t* exchange(unsigned mask, uint64_t value);
  size_t laneOfRunning() const { return static_cast<size_t>(running - lanes_.data()) % 32; }
  void* shared() { return shared_.data(); }

 private:
  void start(Lane& lane, size_t position);
  void resume(Lane& lane);
  bool release();
  bool releaseWarp(size_t warp);

  const std::function<void()>& body_;
  context::pooled_fixedsize_stack& stacks_;
  dim3 size_;
  std::vector<Lane> lanes_;
  std::vector<Warp> warps_;
  struct alignas(128) Line {
    std::byte bytes[sizeof(std::max_align_t)];
  };
  std::vector<Line> shared_;
  context::fiber scheduler_;
};

thread_local Block* current = nullptr;

void Block::start(Lane& lane, size_t position) {
  const auto p = static_cast<unsigned>(position);
  lane.index = {p % size_.x, p / size_.x % size_.y, p / size_.x / size_.y};
  lane.wait = Wait::none;
  lane.copies.clear();
  lane.groups.clear();
  lane.fiber = context::fiber(std::allocator_arg, stacks_, [this, &lane](context::fiber&& back) {
    scheduler_ = std::move(back);
    body_();
    lane.wait = Wait::over;
    return std::move(scheduler_);
  });
  resume(lane);
}

void Block::resume(Lane& lane) {
  running = &lane;
  threadIdx = lane.index;
  lane.fiber = std::move(lane.fiber).resume();
}

void Block::wait(Wait wait, unsigned mask) {
  Lane& lane = *running;
  lane.wait = wait;
  lane.mask = mask;
  // The fiber that resumed this one goes on, and gets this one back as its lane's.
  context::fiber back = std::move(scheduler_);
  scheduler_ = std::move(back).resume();
}

const uint64_t* Block::exchange(unsigned mask, uint64_t value) {
  const auto position = static_cast<size_t>(running - lanes_.data());
  Warp& warp = warps_[position / 32];
  const auto lane = position % 32;
  const int set = warp.parity[lane] ^= 1;
  warp.values[set][lane] = value;
  wait(Wait::warp, mask);
  return warp.values[set];
}

bool Block::releaseWarp(size_t warp) {
  const size_t first = warp * 32, end = std::min(first + 32, lanes_.size());
  bool released = false;
  for (size_t i = first; i < end; ++i) {
    if (lanes_[i].wait != Wait::warp) continue;
    bool all = true;
    for (size_t j = first; j < end; ++j)
      if (lanes_[i].mask >> (j - first) & 1)
        all = all && (lanes_[j].wait == Wait::warp || lanes_[j].wait == Wait::over);
    if (!all) continue;
    const unsigned mask = lanes_[i].mask;
    for (size_t j = first; j < end; ++j)
      if (mask >> (j - first) & 1 && lanes_[j].wait == Wait::warp) lanes_[j].wait = Wait::none;
    released = true;
  }
  return released;
}

/// Lets go on who has waited for all; false when nobody can.
bool Block::release() {
  bool released = false;
  for (size_t w = 0; w < warps_.size(); ++w) released = releaseWarp(w) || released;
  if (released) return true;
  for (Lane& lane : lanes_)
    if (lane.wait == Wait::warp) return false;
  for (Lane& lane : lanes_)
    if (lane.wait == Wait::block) lane.wait = Wait::none;
  return true;
}

void Block::run(uint3 index) {
  current = this;
  blockIdx = index;
  for (size_t i = 0; i < lanes_.size(); ++i) start(lanes_[i], i);
  const auto over = [](const Lane& lane) { return lane.wait == Wait::over; };
  while (!std::all_of(lanes_.begin(), lanes_.end(), over)) {
    if (!release()) throw std::logic_error("threads of a block wait at different barriers");
    for (Lane& lane : lanes_)
      if (lane.wait == Wait::none) resume(lane);
  }
}

}  // namespace

int lane() {
  return static_cast<int>(current->laneOfRunning());
}
void* sharedMemory() {
  return current->shared();
}
void blockBarrier() {
  current->wait(Wait::block, 0);
}
void warpBarrier(unsigned mask) {
  current->wait(Wait::warp, mask);
}
uint64_t exchange(unsigned mask, uint64_t value, int lane) {
  return current->exchange(mask, value)[lane];
}
const uint64_t* exchangeAll(uint64_t value) {
  return current->exchange(~0u, value);
}
void copyLater(void* to, const void* from, size_t bytes) {
  std::memset(to, 0xff, bytes);
  current->running->copies.push_back({to, from, bytes});
}
void commitCopies() {
  Lane& lane = *current->running;
  lane.groups.push_back(std::move(lane.copies));
  lane.copies.clear();
}
void waitCopies(size_t groupsLeft) {
  auto& groups = current->running->groups;
  for (; groups.size() > groupsLeft; groups.erase(groups.begin()))
    for (const Copy& c : groups.front())
      c.from ? std::memcpy(c.to, c.from, c.bytes) : std::memset(c.to, 0, c.bytes);
}

void runKernel(const cudaLaunchConfig_t& config, const std::function<void()>& body) {
  blockDim = config.blockDim;
  gridDim = config.gridDim;
  context::pooled_fixedsize_stack stacks(kStackBytes);
  Block block(config, body, stacks);
  for (unsigned z = 0; z < config.gridDim.z; ++z)
    for (unsigned y = 0; y < config.gridDim.y; ++y)
      for (unsigned x = 0; x < config.gridDim.x; ++x) block.run({x, y, z});
}

}  // namespace meshplan::emulation
