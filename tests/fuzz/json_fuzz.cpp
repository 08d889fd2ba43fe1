// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/cluster_json.h"
#include "core/error.h"
#include "core/import/hf_config.h"
#include "core/plan_json.h"

namespace {

/// The first byte says which reader the rest is for.
void read(char kind, const std::string& text) {
  if (kind == 'm') {
    meshplan::ModelRequest request;
    request.source = "fuzz/config.json";
    request.sequence = 16;
    meshplan::buildHfModel(meshplan::ModelConfig(text), request);
  } else if (kind == 'c') {
    meshplan::clusterFromJson(text, "fuzz.json");
  } else {
    meshplan::planFromJson(text, "fuzz.json");
  }
}

}  // namespace

/// Any bytes are either what the reader wants or one Error that is no internal one.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  try {
    read(static_cast<char>(data[0]), {reinterpret_cast<const char*>(data) + 1, size - 1});
  } catch (const meshplan::Error& e) {
    if (e.kind() == meshplan::ErrorKind::internal) __builtin_trap();
  }
  return 0;
}
