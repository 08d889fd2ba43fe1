// SPDX-License-Identifier: Apache-2.0
#include "tests/profiles/filled_store.h"

#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/profiles/measurement_examples.h"

namespace meshplan {

std::filesystem::path quickDisk() {
  return std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
}

std::string bytesOf(const std::string& path) {
  std::stringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

pid_t inChild(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  int code = 99;
  try {
    code = work();
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
  }
  ::_exit(code);
}

int statusOf(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

CollectiveMeasurement numbered(const std::string& device, int64_t number) {
  CollectiveMeasurement row = exampleCollective(static_cast<uint32_t>(number));
  row.environment = {device, "f", "l"};
  row.source = {Origin::measured, "test", 1};
  row.bytes = Bytes(number);
  return row;
}

std::vector<OperatorMeasurement> operatorRows(uint32_t from, uint32_t count) {
  std::vector<OperatorMeasurement> rows;
  for (uint32_t seed = from; seed < from + count; ++seed) rows.push_back(exampleOperator(seed));
  return rows;
}

std::string filledStore(const std::string& path) {
  ProfileStore store(path);
  store.add(operatorRows(0, 30));
  for (uint32_t seed = 0; seed < 3; ++seed) store.add(exampleRun(seed), exampleInstructions(seed));
  std::vector<CollectiveMeasurement> rows;
  for (int64_t i = 0; i < 30; ++i) rows.push_back(numbered("d", i));
  store.add(rows);
  return path;
}

}  // namespace meshplan
