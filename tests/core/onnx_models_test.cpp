// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>

#include "core/import/onnx_import.h"
#include "core/operator.h"
#include "tests/onnx_builder.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(MESHPLAN_SOURCE_DIR) / "../shared/models";

/// Parameters (torchvision's model tables; AlexNet and SqueezeNet as trained in Caffe) and forward
/// multiply-adds in 10^9 per image (He 2016, Simonyan 2015, Huang 2017, Iandola 2016).
struct Published {
  const char* file;
  int64_t leastParameters, mostParameters;
  double multiplyAdds, tolerance;
};

constexpr Published kPublished[] = {
    {"light_resnet50.onnx", 25'500'000, 25'600'000, 4.1, 0.05},
    {"light_bvlc_alexnet.onnx", 60'965'224, 60'965'224, 0.66, 0.1},
    {"light_vgg19.onnx", 143'667'240, 143'667'240, 19.6, 0.02},
    {"light_squeezenet.onnx", 1'235'496, 1'235'496, 0.35, 0.1},
    {"light_densenet121.onnx", 7'900'000, 8'000'000, 2.87, 0.05},
};

class RealGraph : public testing::TestWithParam<Published> {
 protected:
  void SetUp() override {
    if (!fs::exists(kFolder / GetParam().file)) GTEST_SKIP() << "no graphs in " << kFolder;
  }
  static Model load() {
    ModelRequest request;
    request.source = (kFolder / GetParam().file).string();
    return importOnnx(request);
  }
};

TEST_P(RealGraph, hasThePublishedNumberOfParameters) {
  const Model model = load();
  EXPECT_GE(model.graph.parameterCount(), GetParam().leastParameters);
  EXPECT_LE(model.graph.parameterCount(), GetParam().mostParameters);
}

TEST_P(RealGraph, hasThePublishedNumberOfMultiplyAdds) {
  const double expected = GetParam().multiplyAdds;
  EXPECT_NEAR(totalFlops(load().graph) / 2e9, expected, expected * GetParam().tolerance);
}

TEST_P(RealGraph, hasLoopNestsThatMatchItsTypes) {
  const Model model = load();
  for (size_t i = 0; i < model.graph.operatorCount(); ++i) {
    const Operator& op = model.graph.op(OpId(i));
    const auto in = model.graph.inputTypes(OpId(i)), out = model.graph.outputTypes(OpId(i));
    const OpContext context{op.attributes, in, out};
    EXPECT_TRUE(nestMatchesTypes(op.def->nest(context), context)) << op.name;
  }
}

TEST_P(RealGraph, carriesTheBatchThroughEveryActivation) {
  const Model model = load();
  for (const Tensor& t : model.graph.tensors()) {
    if (t.kind != TensorKind::activation || t.type.shape.empty()) continue;
    EXPECT_EQ(t.batchDim, 0) << t.name;
  }
}

TEST_P(RealGraph, endsInALossAndHasNoOpaqueOperator) {
  const Model model = load();
  const Tensor& loss = model.graph.tensor(model.graph.outputs().back());
  EXPECT_TRUE(loss.type.shape.empty());
  EXPECT_EQ(model.graph.op(loss.producer).def->name, "CrossEntropy");
  EXPECT_EQ(countOf(model.graph, "Opaque"), 0);
  EXPECT_EQ(countOf(model.graph, "Softmax"), 0);
}

INSTANTIATE_TEST_SUITE_P(Shared, RealGraph, testing::ValuesIn(kPublished), [](const auto& info) {
  std::string name = info.param.file;
  name.resize(name.size() - 5);
  return name;
});

}  // namespace
}  // namespace meshplan
