// SPDX-License-Identifier: Apache-2.0
// Every collective between two ranks, as threads and as processes, from 1 KiB to 64 MiB. Bytes per
// second are those of the larger buffer; `of_memcpy` is the same over what memcpy reaches on it.
#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "backend/comm/in_process.h"
#include "backend/comm/sockets.h"

namespace meshplan {
namespace {

using Seconds = std::chrono::duration<double>;
using Timer = std::chrono::steady_clock;

constexpr int64_t kLeast = 1 << 10, kMost = 64 << 20;
constexpr int kRanks = 2;

struct Buffers {
  explicit Buffers(int64_t size) : bytes(size), a(size_t(size / 4), 1), b(a) {}
  int64_t bytes;
  std::vector<float> a, b;
};

using Operation = void (*)(Communicator&, Buffers&);

void allReduce(Communicator& comm, Buffers& x) {
  comm.allReduce(x.a.data(), x.bytes / 4, DType::f32, ReduceOp::sum);
}
void reduceScatter(Communicator& comm, Buffers& x) {
  comm.reduceScatter(x.a.data(), x.b.data(), x.bytes / 4 / kRanks, DType::f32);
}
void allGather(Communicator& comm, Buffers& x) {
  comm.allGather(x.a.data(), x.b.data(), x.bytes / kRanks);
}
void allToAll(Communicator& comm, Buffers& x) {
  comm.allToAll(x.a.data(), x.b.data(), x.bytes / kRanks);
}
void broadcast(Communicator& comm, Buffers& x) {
  comm.broadcast(x.a.data(), x.bytes, 0);
}
/// There and back, as two halves.
void sendReceive(Communicator& comm, Buffers& x) {
  if (comm.rank() == 0) comm.send(x.a.data(), x.bytes / 2, 1);
  comm.receive(x.b.data(), x.bytes / 2, 1 - comm.rank());
  if (comm.rank() == 1) comm.send(x.a.data(), x.bytes / 2, 0);
}

double secondsOf(const std::function<void()>& work) {
  const auto begin = Timer::now();
  work();
  return Seconds(Timer::now() - begin).count();
}

double memcpySeconds(int64_t bytes) {
  static std::map<int64_t, double> known;
  double& best = known[bytes];
  Buffers x(bytes);
  for (int i = 0; best == 0 || i < 20; ++i) {
    const double seconds = secondsOf([&] {
      std::memcpy(x.b.data(), x.a.data(), size_t(bytes));
      benchmark::ClobberMemory();
    });
    best = best == 0 ? seconds : std::min(best, seconds);
  }
  return best;
}

/// The other rank does what rank 0 does until it is told to stop.
void follow(Communicator& comm, Operation operation, int64_t bytes) {
  Buffers x(bytes);
  for (int32_t go = 1;;) {
    comm.broadcast(&go, sizeof go, 0);
    if (!go) return;
    operation(comm, x);
  }
}

void lead(benchmark::State& state, Communicator& comm, Operation operation, int64_t bytes) {
  Buffers x(bytes);
  int32_t go = 1;
  double total = 0;
  for (auto _ : state) {
    comm.broadcast(&go, sizeof go, 0);
    const double seconds = secondsOf([&] { operation(comm, x); });
    state.SetIterationTime(seconds);
    total += seconds;
  }
  go = 0;
  comm.broadcast(&go, sizeof go, 0);
  const double mean = total / double(state.iterations());
  state.SetBytesProcessed(int64_t(state.iterations()) * bytes);
  state.counters["of_memcpy"] = memcpySeconds(bytes) / mean;
}

void onThreads(benchmark::State& state, Operation operation) {
  runInProcess(kRanks, [&](Communicator& comm) {
    if (comm.rank() == 0)
      lead(state, comm, operation, state.range(0));
    else
      follow(comm, operation, state.range(0));
  });
}

void onProcesses(benchmark::State& state, Operation operation) {
  Rendezvous meeting{.size = kRanks, .token = "bench"};
  Fd listener = listenOnLoopback(&meeting.port);
  const pid_t child = fork();
  if (child == 0) {
    listener.close();
    meeting.rank = 1;
    follow(*connectSockets(meeting), operation, state.range(0));
    _exit(0);
  }
  meeting.listener = listener.release();
  lead(state, *connectSockets(meeting), operation, state.range(0));
  waitpid(child, nullptr, 0);
}

void copyMemory(benchmark::State& state) {
  Buffers x(state.range(0));
  for (auto _ : state) {
    std::memcpy(x.b.data(), x.a.data(), size_t(x.bytes));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(int64_t(state.iterations()) * x.bytes);
}
BENCHMARK(copyMemory)->Name("memcpy")->RangeMultiplier(16)->Range(kLeast, kMost);

const bool registered = [] {
  const std::pair<const char*, Operation> operations[] = {
      {"all_reduce", allReduce}, {"reduce_scatter", reduceScatter}, {"all_gather", allGather},
      {"all_to_all", allToAll},  {"broadcast", broadcast},          {"send_receive", sendReceive}};
  for (const auto& [name, operation] : operations)
    for (const bool threads : {true, false})
      benchmark::RegisterBenchmark(
          (std::string(name) + (threads ? "/threads" : "/processes")).c_str(),
          threads ? onThreads : onProcesses, operation)
          ->RangeMultiplier(16)
          ->Range(kLeast, kMost)
          ->MinTime(0.1)
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
  return true;
}();

}  // namespace
}  // namespace meshplan
