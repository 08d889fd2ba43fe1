// SPDX-License-Identifier: Apache-2.0
#include "core/import/onnx_names.h"

#include "core/import/onnx.pb.h"

namespace meshplan {
namespace {

std::string fromScopes(const std::vector<std::string>& scopes) {
  return scopes.size() < 2 ? "" : scopes[scopes.size() - 2];
}

/// "/a/b.0/c/MatMul" as "a.b.0.c". A module list shows up twice ("layers/layers.0"): once is
/// enough.
std::string fromSlashes(std::string_view name) {
  std::vector<std::string> parts(1);
  for (char c : name)
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  std::string module;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const bool repeated = i + 2 < parts.size() && parts[i + 1].rfind(parts[i] + ".", 0) == 0;
    if (parts[i].empty() || repeated) continue;
    module += (module.empty() ? "" : ".") + parts[i];
  }
  return module;
}

}  // namespace

std::vector<std::string> parsePythonList(std::string_view text) {
  std::vector<std::string> items;
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return items;
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    const char quote = text[i];
    if (quote != '\'' && quote != '"') continue;
    std::string item;
    for (++i; i + 1 < text.size() && text[i] != quote; ++i) {
      if (text[i] == '\\' && i + 2 < text.size()) ++i;
      item += text[i];
    }
    items.push_back(std::move(item));
  }
  return items;
}

std::string nodeLabel(const onnx::NodeProto& node) {
  if (!node.name().empty()) return node.name();
  return node.output_size() > 0 ? node.op_type() + "_" + node.output(0) : node.op_type();
}

std::string moduleOf(const onnx::NodeProto& node, const std::string& enclosing) {
  for (const auto& entry : node.metadata_props()) {
    if (entry.key() != "pkg.torch.onnx.name_scopes") continue;
    std::string module = fromScopes(parsePythonList(entry.value()));
    if (!module.empty()) return module;
  }
  if (node.name().find('/') == std::string::npos) return enclosing;
  const std::string module = fromSlashes(node.name());
  return module.empty() ? enclosing : module;
}

}  // namespace meshplan
