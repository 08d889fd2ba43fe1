// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/case_values.h"
#include "tests/backend/operator_cases.h"

namespace meshplan {
namespace {

void addViews(std::vector<KernelCase>& cases) {
  cases.push_back({"Reshape", {{"shape", Ints{3, -1}}}, {anyValues({2, 3, 4}, 1)}});
  cases.push_back({"Reshape", {{"shape", Ints{0, 0, 2, 2}}}, {anyValues({2, 3, 4}, 1)}});
  cases.push_back({"Flatten", {{"axis", int64_t{2}}}, {anyValues({2, 3, 4}, 1)}});
  cases.push_back({"Flatten", {}, {anyValues({2, 3, 4}, 1)}});
  cases.push_back({"Squeeze", {{"axes", Ints{1, -1}}}, {anyValues({2, 1, 4, 1}, 1)}});
  cases.push_back({"Unsqueeze", {{"axes", Ints{0, 2}}}, {anyValues({2, 4}, 1)}});
}

void addRearrangements(std::vector<KernelCase>& cases) {
  const Array x = anyValues({2, 4, 6}, 1), image = anyValues({2, 4, 2, 6}, 2);
  for (const Ints& perm : {Ints{}, Ints{0, 2, 1}, Ints{1, 0, 2}, Ints{2, 0, 1}})
    cases.push_back({"Transpose", {{"perm", perm}}, {x}});
  cases.push_back({"Transpose", {{"perm", Ints{0, 2, 3, 1}}}, {image}});
  cases.push_back({"Transpose", {}, {anyValues({40, 35}, 3)}});
  for (const int64_t axis : {0, 1, -1}) {
    std::vector<Array> parts;
    for (int64_t extent : {2, 1, 3}) {
      Shape shape{2, 4, 6};
      shape[axis < 0 ? 2 : static_cast<size_t>(axis)] = extent;
      parts.push_back(anyValues(shape, static_cast<uint64_t>(extent)));
    }
    cases.push_back({"Concat", {{"axis", axis}}, parts});
  }
  cases.push_back({"Split", {{"axis", int64_t{1}}, {"split", Ints{1, 3}}}, {x}});
  cases.push_back({"Split", {{"axis", int64_t{-1}}, {"num_outputs", int64_t{4}}}, {x}});
  cases.push_back({"Split", {}, {x}});
  cases.push_back({"Slice", {{"starts", Ints{1}}, {"ends", Ints{3}}, {"axes", Ints{1}}}, {x}});
  cases.push_back({"Slice", {{"starts", Ints{0, -4}}, {"ends", Ints{2, 1000}}}, {x}});
  cases.push_back({"Slice",
                   {{"starts", Ints{-1, 5}},
                    {"ends", Ints{-1000, 0}},
                    {"axes", Ints{1, 2}},
                    {"steps", Ints{-1, -2}}},
                   {x}});
  for (const char* mode : {"constant", "reflect", "edge", "wrap"})
    cases.push_back(
        {"Pad",
         {{"pads", Ints{0, 1, 2, 0, 2, 1}}, {"mode", std::string(mode)}, {"value", 0.5}},
         {x}});
  cases.push_back({"Pad", {{"pads", Ints{0, -1, 2, 0, 0, -3}}}, {x}});
  cases.push_back({"Expand", {{"shape", Ints{3, 2, 4}}}, {anyValues({2, 1}, 3)}});
  cases.push_back({"Expand", {{"shape", Ints{4, 1}}}, {anyValues({2, 1, 3}, 3)}});
  cases.push_back({"Tile", {{"repeats", Ints{1, 2, 3}}}, {x}});
  cases.push_back({"Tile", {{"repeats", Ints{2, 1, 1}}}, {x}});
  for (const char* mode : {"DCR", "CRD"})
    cases.push_back({"DepthToSpace",
                     {{"blocksize", int64_t{2}}, {"mode", std::string(mode)}},
                     {anyValues({2, 8, 2, 3}, 4)}});
  cases.push_back({"SpaceToDepth", {{"blocksize", int64_t{2}}}, {image}});
  for (const int64_t upper : {0, 1})
    for (const int64_t k : {-1, 0, 2})
      cases.push_back({"Trilu", {{"upper", upper}, {"k", k}}, {x}});
  cases.push_back(
      {"ReverseSequence", {{"time_axis", int64_t{1}}, {"batch_axis", int64_t{0}}}, {x}});
  cases.push_back({"ReverseSequence",
                   {{"time_axis", int64_t{1}}, {"batch_axis", int64_t{0}}},
                   {x, wholeNumbers({2}, {3, 4})}});
}

void addResizes(std::vector<KernelCase>& cases) {
  const Array image = anyValues({2, 2, 3, 4}, 5);
  for (const char* mode : {"nearest", "linear", "cubic"})
    for (const char* coordinates :
         {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"})
      cases.push_back({"Resize",
                       {{"mode", std::string(mode)},
                        {"coordinate_transformation_mode", std::string(coordinates)},
                        {"scales", std::vector<double>{1, 1, 2, 1.6}}},
                       {image}});
  cases.push_back(
      {"Resize",
       {{"mode", std::string("linear")}, {"antialias", int64_t{1}}, {"sizes", Ints{2, 2, 2, 3}}},
       {image}});
}

void addIndexed(std::vector<KernelCase>& cases) {
  const Array x = anyValues({3, 4, 2}, 1);
  cases.push_back({"Gather", {}, {x, wholeNumbers({2, 2}, {0, 2, -1, 0})}});
  cases.push_back({"Gather", {{"axis", int64_t{1}}}, {x, wholeNumbers({3}, {3, 0, 3})}});
  cases.push_back({"Gather", {{"axis", int64_t{-1}}}, {x, wholeNumbers({}, {1})}});
  for (const int64_t axis : {0, 1, -1})
    cases.push_back({"GatherElements",
                     {{"axis", axis}},
                     {x, wholeNumbersBelow(2, {3, 3, 2}, static_cast<uint64_t>(axis + 3))}});
  cases.push_back({"GatherND", {}, {x, wholeNumbers({2, 2}, {0, 1, 2, -1})}});
  cases.push_back({"GatherND", {}, {x, wholeNumbers({2, 1, 1}, {0, 0})}});
  cases.push_back(
      {"GatherND", {{"batch_dims", int64_t{1}}}, {x, wholeNumbers({3, 2, 1}, {0, 1, 3, 3, 2, 0})}});
  for (const char* reduction : {"none", "add"}) {
    const Attributes attributes{{"reduction", std::string(reduction)}};
    Attributes along = attributes;
    along.set("axis", int64_t{1});
    cases.push_back(
        {"ScatterElements",
         along,
         {anyValues({2, 4}, 2), wholeNumbers({2, 2}, {1, 3, 0, -2}), anyValues({2, 2}, 3)}});
    cases.push_back(
        {"ScatterElements",
         attributes,
         {anyValues({3, 2}, 2), wholeNumbers({2, 2}, {1, 1, 1, 2}), anyValues({2, 2}, 3)}});
    cases.push_back(
        {"ScatterND", attributes, {x, wholeNumbers({2, 2}, {1, 3, 0, 2}), anyValues({2, 2}, 4)}});
    cases.push_back(
        {"ScatterND", attributes, {x, wholeNumbers({3, 1}, {1, 2, 1}), anyValues({3, 4, 2}, 4)}});
  }
}

void addHeads(std::vector<KernelCase>& cases) {
  const Attributes grouped{{"group", int64_t{2}}, {"head_dim", int64_t{3}}};
  cases.push_back({"SplitHeads", grouped, {anyValues({2, 4, 24}, 1)}});
  cases.push_back({"SplitHeads", {{"head_dim", int64_t{2}}}, {anyValues({2, 4, 12}, 1)}});
  cases.push_back({"SplitHeads",
                   {{"group", int64_t{2}}, {"head_dim", int64_t{2}}, {"value_dim", int64_t{3}}},
                   {anyValues({2, 2, 18}, 1)}});
  cases.push_back({"ToHeads", {{"head_dim", int64_t{3}}}, {anyValues({2, 4, 12}, 2)}});
  cases.push_back({"MergeHeads", {}, {anyValues({2, 4, 6, 3}, 3)}});
  cases.push_back({"LatentKeyValue",
                   {{"value_dim", int64_t{3}}},
                   {anyValues({2, 4, 2, 7}, 4), anyValues({2, 1, 2, 2}, 5)}});
  cases.push_back({"PatchTokens", {}, {anyValues({2, 4, 3, 2}, 6)}});
  cases.push_back({"PatchTokens", {}, {anyValues({2, 4, 3, 2}, 6), anyValues({4}, 7)}});
  cases.push_back({"PatchTokens", {}, {anyValues({2, 4, 1, 2}, 6), anyValues({1, 1, 4}, 7)}});
  cases.push_back({"FirstToken", {}, {anyValues({2, 3, 4}, 8)}});
}

}  // namespace

std::vector<KernelCase> movementCases() {
  std::vector<KernelCase> cases;
  addViews(cases);
  addRearrangements(cases);
  addResizes(cases);
  addIndexed(cases);
  addHeads(cases);
  return cases;
}

}  // namespace meshplan
