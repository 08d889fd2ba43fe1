// SPDX-License-Identifier: Apache-2.0
#include "backend/local_machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include "backend/cores.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/product.h"

namespace meshplan {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kProduct = 768;                  // rows, columns and depth
constexpr int64_t kCopyBytes = int64_t{64} << 20;  // beyond what caches hold
constexpr int kTimes = 16;

std::string processorModel() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "processor";
}

/// As a name: words of letters and digits joined by hyphens.
std::string asName(const std::string& text) {
  std::string name;
  for (char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)))
      name += c;
    else if (!name.empty() && name.back() != '-')
      name += '-';
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.empty() ? "processor" : name;
}

int64_t cacheBytes(int level) {
  const long bytes = sysconf(level == 3 ? _SC_LEVEL3_CACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
  return std::max<int64_t>(bytes, 0);
}

/// Runs `work` on all ranks at once, so many times, and returns the least seconds of a rank: what
/// it takes undisturbed.
template <class Prepare>
double leastSeconds(const LocalRanks& ranks, const Prepare& prepare) {
  std::vector<std::vector<double>> seconds(static_cast<size_t>(ranks.atOnce()));
  std::barrier together(ranks.atOnce());
  std::vector<std::thread> threads;
  for (std::vector<double>& own : seconds)
    threads.emplace_back([&] {
      CpuContext context(ranks.threads);
      auto work = prepare(context);
      work();
      for (int i = 0; i < kTimes; ++i) {
        together.arrive_and_wait();
        const auto begin = Clock::now();
        work();
        own.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
      }
    });
  for (std::thread& t : threads) t.join();
  std::vector<double> all;
  for (const auto& own : seconds) all.insert(all.end(), own.begin(), own.end());
  return *std::min_element(all.begin(), all.end());
}

FlopsPerSecond productRate(const LocalRanks& ranks, DType type) {
  const auto prepare = [type](CpuContext& context) {
    const auto bytes = static_cast<size_t>(kProduct * kProduct * dtypeBytes(type));
    return [&context, type, a = std::vector<std::byte>(bytes), b = std::vector<std::byte>(bytes),
            c = std::vector<std::byte>(bytes)]() mutable {
      const auto matrix = [&](std::vector<std::byte>& m) {
        return Matrices{m.data(), type, kProduct, 1, 0};
      };
      multiply(context, {kProduct, kProduct, kProduct, 1}, matrix(a), matrix(b), matrix(c));
    };
  };
  const double flops = 2.0 * kProduct * kProduct * kProduct;
  return FlopsPerSecond(flops / leastSeconds(ranks, prepare));
}

/// Reading and writing both count.
BytesPerSecond copyRate(const LocalRanks& ranks) {
  const auto prepare = [](CpuContext& context) {
    return [&context, from = std::vector<std::byte>(kCopyBytes, std::byte{1}),
            to = std::vector<std::byte>(kCopyBytes)]() mutable {
      parallelRanges(context, kCopyBytes, 1, [&](int64_t begin, int64_t end) {
        std::memcpy(to.data() + begin, from.data() + begin, static_cast<size_t>(end - begin));
      });
    };
  };
  return BytesPerSecond(2.0 * kCopyBytes / leastSeconds(ranks, prepare));
}

}  // namespace

Bytes physicalMemory() {
  return Bytes(static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE));
}

LocalRanks localRanks(int ranks) {
  const HostShare share = shareCores(ranks);
  return {share.cores, share.ranks, share.threads};
}

Environment localEnvironment(const LocalRanks& ranks) {
  Environment e;
  e.device = fmt::format("{}-{}t", asName(processorModel()), ranks.threads);
  e.fingerprint = fmt::format("{}, {} cores, L2 {} KiB, L3 {} KiB", processorModel(), ranks.cores,
                              cacheBytes(2) / kKiB, cacheBytes(3) / kKiB);
  e.libraries = fmt::format("{}, {}", dnnlName(), blasName());
  return e;
}

DeviceSpec measureLocalDevice(const LocalRanks& ranks) {
  DeviceSpec d;
  d.name = localEnvironment(ranks).device;
  d.architecture = "cpu";
  d.memory = physicalMemory() / ranks.ranks;
  d.memoryBandwidth = copyRate(ranks);
  for (DType type : {DType::f64, DType::f32, DType::bf16})
    d.matrixPeak[type] = productRate(ranks, type);
  d.matrixPeak[DType::f16] = d.matrixPeak[DType::f32];
  d.vectorPeak = d.matrixPeak[DType::f32];
  d.multiprocessors = ranks.threads;
  d.l2 = Bytes(std::max<int64_t>(cacheBytes(3), cacheBytes(2)) / ranks.atOnce());
  const std::string source = "measured: the peak is what a product of 768 x 768 matrices reached";
  d.parameters["vector_ceiling"] = d.parameters["matrix_ceiling"] = {1, 0, source};
  d.parameters["memory_efficiency"] = {1, 0, "measured: the bandwidth is that of large copies"};
  d.source = "measured on this machine";
  return d;
}

Cluster localCluster(const LocalRanks& ranks, const DeviceSpec& device, const LinkSpec& link) {
  Cluster cluster;
  cluster.name = cluster.source = "local:" + std::to_string(ranks.ranks);
  cluster.coresPerNode = ranks.cores;
  const uint32_t spec = cluster.addSpec(device), wire = cluster.addLinkSpec(link);
  const NodeId node = cluster.addNode("local");
  const Cluster::Vertex memory = cluster.addSwitch("memory", node);
  for (int r = 0; r < ranks.ranks; ++r)
    cluster.addLink(cluster.vertex(cluster.addDevice(spec, node)), memory, wire);
  cluster.validate();
  return cluster;
}

}  // namespace meshplan
