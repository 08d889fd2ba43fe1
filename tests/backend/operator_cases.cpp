// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/operator_cases.h"

namespace meshplan {
namespace {

constexpr WithoutKernels kWithoutKernels[] = {
    {"Update", "updateParameters (backend/cpu/optimizer_update.h) runs it on flat memory"},
    {"Opaque", "nobody knows what it computes"},
};

}  // namespace

std::span<const WithoutKernels> operatorsWithoutKernels() {
  return kWithoutKernels;
}

std::vector<KernelCase> operatorCases(std::string_view def) {
  std::vector<KernelCase> found;
  for (const auto& family :
       {elementwiseCases(), movementCases(), layerCases(), windowCases(), recurrentCases()})
    for (const KernelCase& c : family)
      if (c.def == def) found.push_back(c);
  return found;
}

std::string caseName(const KernelCase& c, size_t index) {
  std::string name = std::string(c.def) + "[" + std::to_string(index) + "]";
  for (const Array& a : c.inputs) name += " " + shapeText(a.shape());
  return name;
}

}  // namespace meshplan
