// SPDX-License-Identifier: Apache-2.0
#include "core/import/model_zoo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/backward.h"
#include "core/error.h"
#include "core/import/load_model.h"

namespace meshplan {
namespace {

using testing::HasSubstr;

ModelRequest named(std::string source) {
  ModelRequest request;
  request.source = std::move(source);
  return request;
}

TEST(ModelZoo, EveryModelBuildsAndItsNestsMatch) {
  for (const ZooEntry& entry : modelZoo()) {
    const Model m = loadModel(named(std::string(entry.name)));
    m.graph.validate();
    EXPECT_EQ(m.graph.outputs().size(), 1u) << entry.name;
    for (size_t i = 0; i < m.graph.operatorCount(); ++i) {
      const Operator& op = m.graph.operators()[i];
      const auto in = m.graph.inputTypes(OpId(i)), out = m.graph.outputTypes(OpId(i));
      const OpContext context{op.attributes, in, out};
      ASSERT_TRUE(nestMatchesTypes(op.def->nest(context), context)) << entry.name << " " << op.name;
    }
  }
}

TEST(ModelZoo, EveryParameterIsUpdatedOnceByItsTrainingGraph) {
  for (const ZooEntry& entry : modelZoo()) {
    const Model m = loadModel(named(std::string(entry.name)));
    const Graph training = trainingGraph(m.graph, {});
    training.validate();
    std::multiset<uint32_t> updated;
    for (const Operator& op : training.operators())
      if (op.phase == Phase::update) updated.insert(op.inputs[0].value);
    for (size_t i = 0; i < m.graph.tensorCount(); ++i) {
      const bool parameter = m.graph.tensors()[i].kind == TensorKind::parameter;
      EXPECT_EQ(updated.count(static_cast<uint32_t>(i)), parameter ? 1u : 0u)
          << entry.name << " " << m.graph.tensors()[i].name;
    }
  }
}

TEST(ModelZoo, TheBatchReachesTheLoss) {
  for (const ZooEntry& entry : modelZoo()) {
    const Model m = loadModel(named(std::string(entry.name)));
    for (const Operator& op : m.graph.operators())
      if (op.def->opClass == OpClass::loss) {
        EXPECT_EQ(m.graph.tensor(op.inputs[0]).batchDim, 0) << entry.name;
      }
  }
}

TEST(ModelZoo, OnlyTheRelativeBiasLosesTheBatch) {
  for (const ZooEntry& entry : modelZoo()) {
    const Model m = loadModel(named(std::string(entry.name)));
    for (const Tensor& t : m.graph.tensors()) {
      if (t.kind != TensorKind::activation || t.type.shape.empty()) continue;
      const Operator& op = m.graph.op(t.producer);
      EXPECT_EQ(t.batchDim < 0, op.def->name == "RelativeBias") << entry.name << " " << t.name;
    }
  }
}

// Looked up: vgg16 and vit-l16 (torchvision), llama3-70b and llama3-405b (public repositories).
// Megatron's GPT by equation 2 of Narayanan et al. 2021 plus the final norm. The others are the
// figures usually quoted.
TEST(ModelZoo, ParameterCountsAreThoseOfTheRealModels) {
  const std::map<std::string, int64_t> counts{{"resnet50", 25557032},
                                              {"vgg16", 138357544},
                                              {"mlp", 1333770},
                                              {"cnn", 21840},
                                              {"gpt2-medium", 354823168},
                                              {"gpt2-large", 774030080},
                                              {"llama2-13b", 13015864320},
                                              {"llama2-70b", 68976648192},
                                              {"llama3-70b", 70553706496},
                                              {"llama3-405b", 405853388800},
                                              {"bert-large", 336226108},
                                              {"t5-large", 737668096},
                                              {"vit-l16", 304326632}};
  for (const auto& [name, count] : counts)
    EXPECT_EQ(loadModel(named(name)).graph.parameterCount(), count) << name;
  const int64_t l = 96, h = 12288, v = 51200, s = 2048;
  EXPECT_EQ(loadModel(named("gpt3-175b")).graph.parameterCount(),
            12 * l * h * h + 13 * l * h + (v + s) * h + 2 * h);
}

TEST(ModelZoo, AGptOfAnySizeComesFromSettings) {
  ModelRequest request = named("gpt");
  request.settings = {{"layers", "2"},   {"hidden", "256"}, {"heads", "4"},
                      {"vocab", "1024"}, {"ffn", "512"},    {"seq", "128"}};
  const Model m = loadModel(request);
  EXPECT_EQ(m.tokensPerSample, 128);
  EXPECT_EQ(m.graph.parameterCount(),
            2 * (4 * 256 * 256 + 4 * 256 + 2 * 256 * 512 + 512 + 256 + 4 * 256) +
                (1024 + 128) * 256 + 2 * 256);
  request.sequence = 64;
  EXPECT_EQ(loadModel(request).tokensPerSample, 64);
}

TEST(ModelZoo, AnUnknownNameGetsTheNearest) {
  try {
    loadModel(named("lama3-8b"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(), HasSubstr("'llama3-8b'"));
  }
  EXPECT_THROW(loadModel(named("no/such/config.json")), Error);
  EXPECT_THROW(loadModel(named("no/such/thing")), Error);
  ModelRequest resnet = named("resnet50");
  resnet.settings = {{"layers", "3"}};
  EXPECT_THROW(loadModel(resnet), Error);
}

int64_t countWith(const Graph& graph, std::string_view name, std::string_view attribute) {
  return std::count_if(graph.operators().begin(), graph.operators().end(), [&](const Operator& op) {
    return op.def->name == name && op.attributes.has(attribute);
  });
}

TEST(ModelZoo, ConvolutionalNetworksTakeALayoutAndFusedKernels) {
  ModelRequest resnet = named("resnet50");
  resnet.settings = {{"layout", "NCHW"}, {"fused", "on"}};
  const Graph graph = loadModel(resnet).graph;
  EXPECT_EQ(countWith(graph, "Conv", "layout"), 53);
  EXPECT_EQ(countWith(graph, "Relu", "fused"), 49);
  EXPECT_EQ(countWith(graph, "Add", "fused"), 16);
  const Graph plain = loadModel(named("resnet50")).graph;
  EXPECT_EQ(countWith(plain, "Conv", "layout") + countWith(plain, "Relu", "fused"), 0);
  resnet.settings = {{"layout", "CHWN"}};
  EXPECT_THROW(loadModel(resnet), Error);
  resnet.settings = {{"fused", "elementwise"}};
  EXPECT_EQ(countWith(loadModel(resnet).graph, "Relu", "fused"), 16);
  resnet.settings = {{"fused", "maybe"}};
  EXPECT_THROW(loadModel(resnet), Error);
}

TEST(ModelZoo, BertMayPredictFewerWordsAndAddBiasesApart) {
  ModelRequest bert = named("bert-base");
  bert.sequence = 128;
  const auto logits = [](const Graph& graph) {
    for (const Operator& op : graph.operators())
      if (op.name == "cls.predictions.decoder") return graph.tensor(op.outputs[0]).type.shape;
    return Shape{};
  };
  EXPECT_EQ(logits(loadModel(bert).graph)[1], 128);
  bert.settings = {{"max_predictions_per_seq", "20"}, {"separate_bias", "true"}};
  const Graph graph = loadModel(bert).graph;
  EXPECT_EQ(logits(graph)[1], 20);
  int apart = 0;
  for (const Operator& op : graph.operators())
    if (op.def->name == "Linear" && op.attributes.getInt("separate_bias", 0) != 0) {
      ++apart;
      EXPECT_EQ(op.name.find("intermediate"), std::string::npos) << op.name;
    }
  // Query, key and value together, the attention's and the feed-forward's output, and the decoder.
  EXPECT_EQ(apart, 12 * 3 + 1);
}

/// Bytes that the backward pass of one transformer layer reads: activations that a gradient needs,
/// each once, in fp16 with one byte per dropout mask entry.
int64_t savedBytes(const Graph& graph, const std::string& layer) {
  std::set<uint32_t> saved;
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    const Operator& op = graph.operators()[i];
    if (op.name.rfind(layer, 0) != 0 || !op.def->needs) continue;
    const auto in = graph.inputTypes(OpId(i)), out = graph.outputTypes(OpId(i));
    for (size_t wrt = 0; wrt < op.inputs.size(); ++wrt) {
      const SlotSet s = op.def->needs({op.attributes, in, out}, static_cast<int>(wrt));
      for (size_t k = 0; k < op.inputs.size(); ++k)
        if (s.inputs >> k & 1) saved.insert(op.inputs[k].value);
      for (size_t k = 0; k < op.outputs.size(); ++k)
        if (s.outputs >> k & 1) saved.insert(op.outputs[k].value);
    }
  }
  int64_t bytes = 0;
  for (uint32_t id : saved) {
    const Tensor& t = graph.tensor(TensorId(id));
    if (t.kind != TensorKind::activation) continue;
    bytes += t.type.elements() * (t.type.dtype == DType::u8 ? 1 : 2);
  }
  return bytes;
}

// Korthikanti et al. 2022 (arXiv:2205.05198), equation 1: s b h (34 + 5 a s / h).
TEST(ModelZoo, ALayerSavesWhatKorthikantiCounted) {
  ModelRequest request = named("gpt");
  request.settings = {{"layers", "3"}, {"hidden", "512"}, {"heads", "8"}, {"seq", "256"}};
  request.attention = "math";
  const Model m = loadModel(request);
  const int64_t s = 256, h = 512, a = 8;
  EXPECT_EQ(savedBytes(m.graph, "transformer.h.1."), 34 * s * h + 5 * a * s * s);
}

}  // namespace
}  // namespace meshplan
