// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/case_values.h"
#include "tests/backend/operator_cases.h"

namespace meshplan {
namespace {

using Named = std::vector<Attributes>;

/// Two spatial dimensions of 4 -> 4 channels, kernel 3 x 2.
Named planarVariants() {
  return {{},
          {{"kernel_shape", Ints{3, 2}}, {"pads", Ints{1, 1, 1, 0}}},
          {{"strides", Ints{2, 1}}},
          {{"strides", Ints{2, 3}}, {"pads", Ints{0, 1, 2, 1}}},
          {{"dilations", Ints{2, 3}}, {"pads", Ints{1, 1, 2, 2}}},
          {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}},
          {{"auto_pad", std::string("SAME_LOWER")}, {"dilations", Ints{1, 2}}},
          {{"auto_pad", std::string("VALID")}, {"strides", Ints{1, 2}}}};
}

void addConvolutions(std::vector<KernelCase>& cases) {
  const Array image = anyValues({2, 4, 5, 6}, 1), bias = anyValues({4}, 3);
  for (const int64_t groups : {1, 2, 4})
    for (Attributes a : planarVariants()) {
      a.set("group", groups);
      cases.push_back({"Conv", a, {image, anyValues({4, 4 / groups, 3, 2}, 2)}});
      if (groups == 2) cases.back().inputs.push_back(bias);
    }
  const Attributes padded{{"pads", Ints{1, 1, 1, 1}}};
  cases.push_back({"Conv", padded, {image, anyValues({4, 4, 3, 3}, 2), bias}});
  cases.push_back({"Conv", {}, {image, anyValues({2, 4, 1, 1}, 2)}});
  cases.push_back(
      {"Conv", {{"strides", Ints{2, 2}}}, {image, anyValues({2, 4, 1, 1}, 2), anyValues({2}, 3)}});
  cases.push_back({"Conv",
                   {{"dilations", Ints{2}}, {"pads", Ints{2, 1}}},
                   {anyValues({2, 2, 8}, 1), anyValues({4, 2, 3}, 2)}});
  cases.push_back({"Conv",
                   {{"strides", Ints{3}}, {"group", int64_t{2}}},
                   {anyValues({2, 4, 7}, 1), anyValues({2, 2, 2}, 2), anyValues({2}, 3)}});
  cases.push_back(
      {"Conv",
       {{"strides", Ints{1, 2, 1}}, {"pads", Ints{1, 0, 1, 0, 1, 0}}},
       {anyValues({2, 2, 3, 4, 3}, 1), anyValues({2, 2, 2, 2, 3}, 2), anyValues({2}, 3)}});
  cases.push_back({"Conv",
                   {{"dilations", Ints{2, 1, 2}}, {"group", int64_t{2}}},
                   {anyValues({1, 2, 4, 3, 4}, 1), anyValues({4, 1, 2, 2, 2}, 2)}});
}

void addTransposed(std::vector<KernelCase>& cases) {
  Named variants{
      {},
      {{"pads", Ints{1, 0, 1, 1}}},
      {{"strides", Ints{2, 3}}, {"pads", Ints{1, 1, 1, 0}}},
      {{"strides", Ints{2, 2}}, {"output_padding", Ints{1, 0}}},
      {{"strides", Ints{3, 2}}, {"output_padding", Ints{2, 1}}, {"pads", Ints{1, 0, 0, 1}}},
      {{"dilations", Ints{2, 1}}, {"pads", Ints{2, 0, 1, 1}}},
      {{"strides", Ints{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}},
      {{"strides", Ints{2, 2}}, {"auto_pad", std::string("SAME_LOWER")}},
      {{"strides", Ints{2, 2}}, {"output_shape", Ints{8, 6}}}};
  const Array image = anyValues({2, 4, 3, 4}, 1);
  for (const int64_t groups : {1, 2})
    for (Attributes a : variants) {
      a.set("group", groups);
      cases.push_back({"ConvTranspose", a, {image, anyValues({4, 2, 3, 2}, 2)}});
      if (groups == 2) cases.back().inputs.push_back(anyValues({4}, 3));
    }
  cases.push_back({"ConvTranspose",
                   {{"strides", Ints{2}}},
                   {anyValues({2, 2, 5}, 1), anyValues({2, 3, 3}, 2), anyValues({3}, 3)}});
  cases.push_back({"ConvTranspose",
                   {{"strides", Ints{1, 2, 1}}, {"pads", Ints{0, 1, 0, 1, 0, 0}}},
                   {anyValues({2, 2, 2, 3, 2}, 1), anyValues({2, 2, 2, 2, 3}, 2)}});
}

void addPoolings(std::vector<KernelCase>& cases) {
  const Array image = distinctValues({2, 2, 5, 6}, 1);
  const Ints kernel{2, 3};
  const Named windows{
      {},
      {{"strides", Ints{1, 2}}, {"pads", Ints{1, 1, 0, 1}}},
      {{"strides", Ints{2, 2}}, {"ceil_mode", int64_t{1}}},
      {{"strides", Ints{3, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"ceil_mode", int64_t{1}}},
      {{"dilations", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}},
      {{"strides", Ints{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}},
      {{"auto_pad", std::string("SAME_LOWER")}},
      {{"strides", Ints{2, 3}}, {"auto_pad", std::string("VALID")}}};
  for (Attributes a : windows) {
    a.set("kernel_shape", kernel);
    cases.push_back({"MaxPool", a, {image}});
    cases.push_back({"AveragePool", a, {image}});
    for (const int64_t p : {1, 2, 3}) {
      Attributes norm = a;
      norm.set("p", p);
      cases.push_back({"LpPool", norm, {image}});
    }
    a.set("count_include_pad", int64_t{1});
    cases.push_back({"AveragePool", a, {image}});
    a.set("outputs", int64_t{2});
    cases.push_back({"MaxPool", a, {image}});
  }
  for (std::string_view def : {"MaxPool", "AveragePool", "LpPool"}) {
    cases.push_back({def,
                     {{"kernel_shape", Ints{3}}, {"strides", Ints{2}}, {"pads", Ints{1, 1}}},
                     {distinctValues({2, 2, 7}, 2)}});
    cases.push_back({def,
                     {{"kernel_shape", Ints{2, 2, 2}}, {"strides", Ints{1, 2, 1}}},
                     {distinctValues({2, 2, 3, 4, 2}, 3)}});
    cases.push_back(
        {def,
         {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}},
         {distinctValues({1, 2, 8, 7}, 4)}});
  }
}

void addGlobalPoolings(std::vector<KernelCase>& cases) {
  for (const Shape& shape : {Shape{2, 2, 4, 6}, Shape{2, 2, 5}, Shape{2, 2, 2, 3, 2}}) {
    cases.push_back({"GlobalAveragePool", {}, {distinctValues(shape, 1)}});
    cases.push_back({"GlobalMaxPool", {}, {distinctValues(shape, 2)}});
    for (const int64_t p : {1, 2, 3})
      cases.push_back({"GlobalLpPool", {{"p", p}}, {distinctValues(shape, 3)}});
  }
}

}  // namespace

std::vector<KernelCase> windowCases() {
  std::vector<KernelCase> cases;
  addConvolutions(cases);
  addTransposed(cases);
  addPoolings(cases);
  addGlobalPoolings(cases);
  return cases;
}

}  // namespace meshplan
