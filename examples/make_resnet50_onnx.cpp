// SPDX-License-Identifier: Apache-2.0
// Writes ResNet-50 (He et al. 2015, the variant with strides in the 3x3 convolutions that PyTorch
// and tf.keras ship) as an ONNX graph named as PyTorch's exporter names it. Weights are external
// data of a file that is not there: graph, shapes and operators are all that planning needs. Usage:
// make_resnet50_onnx FILE
#include <fmt/format.h>

#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/import/onnx.pb.h"

namespace meshplan {
namespace {

constexpr int kFloat = 1;           // TensorProto.DataType
constexpr int kInt = 2, kInts = 7;  // AttributeProto.AttributeType
constexpr int kExternal = 1;        // TensorProto.DataLocation
constexpr int64_t kIrVersion = 8, kOpset = 17;

class ResNet {
 public:
  ResNet() {
    model_.set_ir_version(kIrVersion);
    model_.set_producer_name("meshplan examples");
    model_.add_opset_import()->set_version(kOpset);
    graph().set_name("resnet50");
    value(*graph().add_input(), "images", {3, 224, 224});
    std::string x = convolution("conv1", "bn1", "images", 3, 64, 7, 2, true);
    x = node("/maxpool/MaxPool", "MaxPool", {x});
    ints("kernel_shape", {3, 3});
    ints("strides", {2, 2});
    ints("pads", {1, 1, 1, 1});
    int64_t channels = 64;
    constexpr int64_t kBlocks[] = {3, 4, 6, 3};
    for (int64_t stage = 0; stage < 4; ++stage)
      for (int64_t block = 0; block < kBlocks[stage]; ++block) {
        const int64_t width = int64_t{64} << stage;
        x = bottleneck(fmt::format("layer{}.{}", stage + 1, block), x, channels, width,
                       stage > 0 && block == 0 ? 2 : 1);
        channels = 4 * width;
      }
    x = node("/avgpool/GlobalAveragePool", "GlobalAveragePool", {x});
    x = node("/Flatten", "Flatten", {x});
    weight("fc.weight", {1000, 2048});
    weight("fc.bias", {1000});
    node("/fc/Gemm", "Gemm", {x, "fc.weight", "fc.bias"}, "logits");
    integer("transB", 1);
    value(*graph().add_output(), "logits", {1000});
  }

  std::string bytes() const { return model_.SerializeAsString(); }

 private:
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }
  onnx::NodeProto& last() { return *graph().mutable_node(graph().node_size() - 1); }

  void value(onnx::ValueInfoProto& info, const std::string& name,
             std::initializer_list<int64_t> dims) {
    info.set_name(name);
    auto* type = info.mutable_type()->mutable_tensor_type();
    type->set_elem_type(kFloat);
    type->mutable_shape()->add_dim()->set_dim_param("batch");
    for (int64_t d : dims) type->mutable_shape()->add_dim()->set_dim_value(d);
  }

  void weight(const std::string& name, std::initializer_list<int64_t> dims) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(kFloat);
    for (int64_t d : dims) tensor.add_dims(d);
    tensor.set_data_location(kExternal);
    onnx::StringStringEntryProto& where = *tensor.add_external_data();
    where.set_key("location");
    where.set_value("resnet50.weights");
  }

  std::string node(const std::string& name, const char* op,
                   std::initializer_list<std::string> inputs, std::string output = {}) {
    onnx::NodeProto& n = *graph().add_node();
    n.set_name(name);
    n.set_op_type(op);
    for (const std::string& i : inputs) n.add_input(i);
    if (output.empty()) output = name + "_output_0";
    n.add_output(output);
    return output;
  }

  void ints(const char* name, std::initializer_list<int64_t> values) {
    onnx::AttributeProto& a = *last().add_attribute();
    a.set_name(name);
    a.set_type(kInts);
    for (int64_t v : values) a.add_ints(v);
  }

  void integer(const char* name, int64_t value) {
    onnx::AttributeProto& a = *last().add_attribute();
    a.set_name(name);
    a.set_type(kInt);
    a.set_i(value);
  }

  /// Convolution without bias, batch normalisation and, if asked for, a ReLU.
  std::string convolution(const std::string& conv, const std::string& norm, const std::string& x,
                          int64_t in, int64_t out, int64_t kernel, int64_t stride, bool relu) {
    weight(conv + ".weight", {out, in, kernel, kernel});
    std::string y = node(scope(conv) + "/Conv", "Conv", {x, conv + ".weight"});
    ints("kernel_shape", {kernel, kernel});
    ints("strides", {stride, stride});
    const int64_t pad = kernel / 2;
    ints("pads", {pad, pad, pad, pad});
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
      weight(norm + part, {out});
    y = node(scope(norm) + "/BatchNormalization", "BatchNormalization",
             {y, norm + ".weight", norm + ".bias", norm + ".running_mean", norm + ".running_var"});
    return relu ? node(scope(norm) + "/Relu", "Relu", {y}) : y;
  }

  std::string bottleneck(const std::string& name, const std::string& x, int64_t in, int64_t width,
                         int64_t stride) {
    const auto part = [&](const char* p, int i) { return fmt::format("{}.{}{}", name, p, i); };
    std::string y = convolution(part("conv", 1), part("bn", 1), x, in, width, 1, 1, true);
    y = convolution(part("conv", 2), part("bn", 2), y, width, width, 3, stride, true);
    y = convolution(part("conv", 3), part("bn", 3), y, width, 4 * width, 1, 1, false);
    const std::string down = name + ".downsample.";
    const std::string shortcut =
        in == 4 * width ? x
                        : convolution(down + "0", down + "1", x, in, 4 * width, 1, stride, false);
    y = node(scope(name) + "/Add", "Add", {y, shortcut});
    return node(scope(name) + "/Relu", "Relu", {y});
  }

  /// "layer1.0.conv1" as "/layer1/layer1.0/conv1".
  static std::string scope(const std::string& module) {
    const size_t first = module.find('.');
    if (first == std::string::npos) return "/" + module;
    const size_t second = module.find('.', first + 1);
    std::string out = "/" + module.substr(0, first) + "/" + module.substr(0, second);
    if (second != std::string::npos) out += "/" + module.substr(second + 1);
    return out;
  }

  onnx::ModelProto model_;
};

}  // namespace
}  // namespace meshplan

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: make_resnet50_onnx FILE\n");
    return 2;
  }
  std::ofstream out(argv[1], std::ios::binary);
  out << meshplan::ResNet().bytes();
  return out.flush() ? 0 : 5;
}
