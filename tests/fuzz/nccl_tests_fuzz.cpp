// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/error.h"
#include "profiles/nccl_tests_import.h"

/// Any bytes, as text or as JSON, are either rows or one Error that is no internal one.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace meshplan;
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    ImportCollector collector;
    const bool json = text.starts_with('{');
    (json ? importNcclTestsJson : importNcclTestsText)(text, {Origin::imported, "fuzz", 1},
                                                       {"H100-SXM"}, collector);
    for (const CollectiveMeasurement& m : collector.finish().collectives)
      if (m.ranks < 2 || m.bytes.value <= 0) __builtin_trap();
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::internal) __builtin_trap();
  }
  return 0;
}
