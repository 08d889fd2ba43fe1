// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include "core/error.h"
#include "profiles/kineto_import.h"

/// Any bytes are either a trace or one Error that is no internal one. The reader streams from a
/// file, so the bytes go through one.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace meshplan;
  static const std::string path = "/tmp/kineto_fuzz." + std::to_string(::getpid());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (!file) return 0;
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  try {
    ImportCollector collector;
    importKineto({path}, {"H100-SXM"}, collector);
    for (const OperatorMeasurement& m : collector.finish().operators)
      if (m.samples.count < 1 || !(m.samples.median.value > 0)) __builtin_trap();
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::internal) __builtin_trap();
  }
  std::remove(path.c_str());
  return 0;
}
