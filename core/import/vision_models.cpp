// SPDX-License-Identifier: Apache-2.0
#include "core/import/vision_models.h"

#include <array>

#include "core/import/layer_writer.h"

namespace meshplan {
namespace {

using Ints = std::vector<int64_t>;

/// Appends layers of convolutional networks.
class VisionWriter {
 public:
  explicit VisionWriter(Graph& graph) : writer_(graph) {}

  TensorId images(int64_t batch, Shape shape) {
    shape.insert(shape.begin(), batch);
    return writer_.graph().addInput("images", {DType::f32, shape}, 0);
  }

  TensorId conv(TensorId x, int64_t channels, int64_t kernel, int64_t stride, int64_t pad,
                bool bias, const std::string& name) {
    std::vector<TensorId> inputs{
        x, writer_.parameter(name + ".weight", {channels, writer_.extent(x, 1), kernel, kernel})};
    if (bias) inputs.push_back(writer_.parameter(name + ".bias", {channels}));
    return writer_.add("Conv", inputs,
                       {{"strides", Ints{stride, stride}}, {"pads", Ints{pad, pad, pad, pad}}},
                       moduleOf(name), leafOf(name));
  }

  TensorId batchNorm(TensorId x, const std::string& name) {
    const int64_t c = writer_.extent(x, 1);
    const TensorId scale = writer_.parameter(name + ".weight", {c});
    const TensorId shift = writer_.parameter(name + ".bias", {c});
    return writer_.add("BatchNormalization", {x, scale, shift}, {{"training", int64_t{1}}},
                       moduleOf(name), leafOf(name));
  }

  TensorId relu(TensorId x, const std::string& name) {
    return writer_.add("Relu", {x}, {}, moduleOf(name), leafOf(name));
  }

  TensorId maxPool(TensorId x, int64_t kernel, int64_t stride, int64_t pad,
                   const std::string& name) {
    return writer_.add("MaxPool", {x},
                       {{"kernel_shape", Ints{kernel, kernel}},
                        {"strides", Ints{stride, stride}},
                        {"pads", Ints{pad, pad, pad, pad}}},
                       moduleOf(name), leafOf(name));
  }

  TensorId globalPool(TensorId x) {
    return writer_.add("GlobalAveragePool", {x}, {}, "", "avgpool");
  }
  TensorId flatten(TensorId x) {
    return writer_.add("Flatten", {x}, {{"axis", int64_t{1}}}, "", "flatten");
  }
  TensorId linear(TensorId x, int64_t features, const std::string& name) {
    return writer_.linear(x, features, {true}, moduleOf(name), leafOf(name));
  }
  TensorId dropout(TensorId x, const std::string& name) {
    return writer_.dropout(x, 0.5, moduleOf(name), leafOf(name));
  }
  TensorId sum(TensorId a, TensorId b, const std::string& name) {
    return writer_.add("Add", {a, b}, {}, moduleOf(name), leafOf(name));
  }
  void loss(TensorId logits) {
    const TensorId labels =
        writer_.graph().addInput("labels", {DType::i64, {writer_.extent(logits, 0)}}, 0);
    writer_.loss(logits, labels, "", "loss");
  }

 private:
  static std::string moduleOf(const std::string& name) {
    const size_t dot = name.rfind('.');
    return dot == std::string::npos ? "" : name.substr(0, dot);
  }
  static std::string leafOf(const std::string& name) { return name.substr(name.rfind('.') + 1); }

  LayerWriter writer_;
};

/// 1x1, 3x3 and 1x1 convolutions around a shortcut, which is projected where the shape changes.
TensorId bottleneck(VisionWriter& w, TensorId x, int64_t width, int64_t stride, bool project,
                    const std::string& name) {
  TensorId y = w.conv(x, width, 1, 1, 0, false, name + ".conv1");
  y = w.relu(w.batchNorm(y, name + ".bn1"), name + ".relu1");
  y = w.conv(y, width, 3, stride, 1, false, name + ".conv2");
  y = w.relu(w.batchNorm(y, name + ".bn2"), name + ".relu2");
  y = w.conv(y, 4 * width, 1, 1, 0, false, name + ".conv3");
  y = w.batchNorm(y, name + ".bn3");
  if (project) {
    x = w.conv(x, 4 * width, 1, stride, 0, false, name + ".downsample.0");
    x = w.batchNorm(x, name + ".downsample.1");
  }
  return w.relu(w.sum(y, x, name + ".add"), name + ".relu3");
}

}  // namespace

Graph buildResnet50(int64_t batch) {
  constexpr std::array<int64_t, 4> kBlocks{3, 4, 6, 3};
  Graph graph;
  VisionWriter w(graph);
  TensorId x = w.conv(w.images(batch, {3, 224, 224}), 64, 7, 2, 3, false, "conv1");
  x = w.maxPool(w.relu(w.batchNorm(x, "bn1"), "relu"), 3, 2, 1, "maxpool");
  for (size_t stage = 0; stage < kBlocks.size(); ++stage)
    for (int64_t i = 0; i < kBlocks[stage]; ++i)
      x = bottleneck(w, x, int64_t{64} << stage, i == 0 && stage > 0 ? 2 : 1, i == 0,
                     "layer" + std::to_string(stage + 1) + "." + std::to_string(i));
  w.loss(w.linear(w.flatten(w.globalPool(x)), 1000, "fc"));
  return graph;
}

Graph buildVgg16(int64_t batch) {
  constexpr std::array<int64_t, 18> kChannels{64, 64,  0,   128, 128, 0,   256, 256, 256,
                                              0,  512, 512, 512, 0,   512, 512, 512, 0};
  Graph graph;
  VisionWriter w(graph);
  TensorId x = w.images(batch, {3, 224, 224});
  int index = 0;
  const auto next = [&] { return "features." + std::to_string(index++); };
  for (int64_t channels : kChannels) {
    if (channels == 0) {
      x = w.maxPool(x, 2, 2, 0, next());
      continue;
    }
    x = w.conv(x, channels, 3, 1, 1, true, next());
    x = w.relu(x, next());
  }
  x = w.relu(w.linear(w.flatten(x), 4096, "classifier.0"), "classifier.1");
  x = w.dropout(x, "classifier.2");
  x = w.relu(w.linear(x, 4096, "classifier.3"), "classifier.4");
  x = w.dropout(x, "classifier.5");
  w.loss(w.linear(x, 1000, "classifier.6"));
  return graph;
}

Graph buildPerceptron(int64_t batch) {
  Graph graph;
  VisionWriter w(graph);
  TensorId x = w.images(batch, {784});
  x = w.relu(w.linear(x, 1024, "fc1"), "relu1");
  x = w.relu(w.linear(x, 512, "fc2"), "relu2");
  w.loss(w.linear(x, 10, "fc3"));
  return graph;
}

Graph buildSmallCnn(int64_t batch) {
  Graph graph;
  VisionWriter w(graph);
  TensorId x = w.conv(w.images(batch, {1, 28, 28}), 10, 5, 1, 0, true, "conv1");
  x = w.relu(w.maxPool(x, 2, 2, 0, "pool1"), "relu1");
  x = w.conv(x, 20, 5, 1, 0, true, "conv2");
  x = w.relu(w.maxPool(x, 2, 2, 0, "pool2"), "relu2");
  x = w.relu(w.linear(w.flatten(x), 50, "fc1"), "relu3");
  w.loss(w.linear(x, 10, "fc2"));
  return graph;
}

}  // namespace meshplan
