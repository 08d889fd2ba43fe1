// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/operator_cases.h"

namespace meshplan {
namespace {

constexpr WithoutKernels kWithoutKernels[] = {
    {"Update", "updateParameters (backend/cpu/optimizer_update.h) runs it on flat memory"},
    {"Opaque", "nobody knows what it computes"},
    {"Conv", "its kernels are not written yet"},
    {"ConvTranspose", "its kernels are not written yet"},
    {"MaxPool", "its kernels are not written yet"},
    {"AveragePool", "its kernels are not written yet"},
    {"LpPool", "its kernels are not written yet"},
    {"GlobalAveragePool", "its kernels are not written yet"},
    {"GlobalMaxPool", "its kernels are not written yet"},
    {"GlobalLpPool", "its kernels are not written yet"},
    {"LSTM", "its kernels are not written yet"},
    {"GRU", "its kernels are not written yet"},
    {"RNN", "its kernels are not written yet"},
};

}  // namespace

std::span<const WithoutKernels> operatorsWithoutKernels() {
  return kWithoutKernels;
}

std::vector<KernelCase> operatorCases(std::string_view def) {
  std::vector<KernelCase> found;
  for (const auto& family : {elementwiseCases(), movementCases(), layerCases()})
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
