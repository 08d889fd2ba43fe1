// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/import/onnx_import.h"
#include "tests/onnx_builder.h"

// Functions and subgraphs.

namespace meshplan {
namespace {

using testing::HasSubstr;

std::string failure(const OnnxFile& file) {
  try {
    file.import();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

onnx::FunctionProto& addFunction(OnnxFile& file, const std::string& name) {
  auto* f = file.model.add_functions();
  f->set_domain("local");
  f->set_name(name);
  f->add_input("a");
  f->add_output("r");
  f->add_opset_import()->set_version(17);
  return *f;
}

void addNode(onnx::FunctionProto& f, const std::string& op, const std::string& in,
             const std::string& out, const std::string& domain = {}) {
  auto* n = f.add_node();
  n->set_op_type(op);
  n->set_domain(domain);
  n->add_input(in);
  n->add_output(out);
}

TEST(OnnxFunctions, areInlinedInsideEachOther) {
  OnnxFile file;
  file.input("x", {2, 4}).output("y").node("outer", {"x"}, {"y"}, "/block/outer", "local");
  auto& outer = addFunction(file, "outer");
  addNode(outer, "inner", "a", "m", "local");
  addNode(outer, "inner", "m", "r", "local");
  addNode(addFunction(file, "inner"), "Relu", "a", "r");
  const Model model = file.import();
  EXPECT_EQ(countOf(model.graph, "Relu"), 2);
  EXPECT_EQ(model.graph.op(OpId(0)).module, "block");
}

TEST(OnnxFunctions, resolveAttributesOfTheirCall) {
  OnnxFile file;
  file.input("x", {2, 4}).output("y").node("turn", {"x"}, {"y"}, "call", "local");
  file.attr("order", std::vector<int64_t>{1, 0});
  auto& f = addFunction(file, "turn");
  f.add_attribute("order");
  addNode(f, "Transpose", "a", "r");
  auto* a = f.mutable_node(0)->add_attribute();
  a->set_name("perm");
  a->set_ref_attr_name("order");
  const Model model = file.import();
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Transpose").outputs[0]).type.shape,
            (Shape{4, 2}));
}

TEST(OnnxFunctions, areToldApartByOverload) {
  OnnxFile file;
  file.input("x", {2, 4}).output("y").node("f", {"x"}, {"y"}, "call", "local");
  file.last().set_overload("b");
  auto& first = addFunction(file, "f");
  first.set_overload("a");
  addNode(first, "Relu", "a", "r");
  auto& second = addFunction(file, "f");
  second.set_overload("b");
  addNode(second, "Tanh", "a", "r");
  EXPECT_EQ(countOf(file.import().graph, "Tanh"), 1);
}

TEST(OnnxFunctions, mustNotCallThemselves) {
  OnnxFile file;
  file.input("x", {2, 4}).output("y").node("loop", {"x"}, {"y"}, "call", "local");
  addNode(addFunction(file, "loop"), "loop", "a", "r", "local");
  EXPECT_THAT(failure(file), HasSubstr("'loop' calls itself"));
}

TEST(OnnxFunctions, thatExpandBeyondReasonAreRefused) {
  OnnxFile file;
  file.input("x", {2, 4}).output("y").node("f0", {"x"}, {"y"}, "call", "local");
  constexpr int kLevels = 40;
  for (int i = 0; i < kLevels; ++i) {
    auto& f = addFunction(file, "f" + std::to_string(i));
    const std::string next = i + 1 < kLevels ? "f" + std::to_string(i + 1) : "Relu";
    addNode(f, next, "a", "m", i + 1 < kLevels ? "local" : "");
    addNode(f, next, "m", "r", i + 1 < kLevels ? "local" : "");
  }
  EXPECT_THAT(failure(file), HasSubstr("functions are expanded"));
}

onnx::GraphProto branch(int relus) {
  OnnxFile file;
  std::string last = "x";
  for (int i = 0; i < relus; ++i) {
    const std::string out = "b" + std::to_string(relus) + "_" + std::to_string(i);
    file.node("Relu", {last}, {out});
    last = out;
  }
  file.output(last);
  return file.graph();
}

OnnxFile conditional() {
  OnnxFile file;
  file.input("x", {2, 4}).input("c", {}, 9).output("z");
  file.node("If", {"c"}, {"y"}, "choice");
  file.attr("then_branch", branch(1)).attr("else_branch", branch(3));
  file.node("Neg", {"y"}, {"z"});
  return file;
}

TEST(OnnxIf, keepsTheDearerBranchAndSaysSo) {
  const Model model = conditional().import();
  EXPECT_EQ(countOf(model.graph, "Relu"), 3);
  EXPECT_THAT(model.warnings, testing::Contains(HasSubstr("else_branch")));
}

TEST(OnnxIf, followsAConditionThatIsKnown) {
  OnnxFile file;
  file.input("x", {2, 4}).output("y").weight("c", {}, 9);
  file.graph().mutable_initializer(0)->add_int32_data(1);
  file.node("If", {"c"}, {"y"}, "choice");
  file.attr("then_branch", branch(1)).attr("else_branch", branch(3));
  EXPECT_EQ(countOf(file.import().graph, "Relu"), 1);
}

onnx::GraphProto body() {
  OnnxFile file;
  file.input("i", {}, 7).input("go", {}, 9).input("state", {2, 4});
  file.node("Relu", {"state"}, {"next"}).node("Tanh", {"next"}, {"seen"});
  file.output("go").output("next").output("seen");
  return file.graph();
}

OnnxFile loop(bool constantCount) {
  OnnxFile file;
  file.input("x", {2, 4}).output("last").output("all");
  if (constantCount)
    file.ints("n", {6});
  else
    file.input("n", {}, 7);
  file.node("Loop", {"n", "", "x"}, {"last", "all"}, "steps").attr("body", body());
  return file;
}

TEST(OnnxLoop, repeatsItsBodyByAConstantTripCount) {
  const Model model = loop(true).import();
  EXPECT_EQ(only(model.graph, "Relu").repeat, 6);
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Expand").outputs[0]).type.shape,
            (Shape{6, 2, 4}));
}

TEST(OnnxLoop, needsATripCountWhereItIsComputed) {
  EXPECT_THAT(failure(loop(false)), HasSubstr("--trip-count"));
  ModelRequest request;
  request.tripCount = 9;
  EXPECT_EQ(only(loop(false).import(request).graph, "Relu").repeat, 9);
}

TEST(OnnxScan, repeatsItsBodyPerSlice) {
  OnnxFile inner;
  inner.input("h", {2, 8}).input("xt", {2, 8}).node("Add", {"h", "xt"}, {"hn"});
  inner.node("Tanh", {"hn"}, {"yt"}).output("hn").output("yt");
  OnnxFile file;
  file.input("h0", {2, 8}).input("x", {12, 2, 8}).output("h").output("ys");
  file.node("Scan", {"h0", "x"}, {"h", "ys"}).attr("body", inner.graph());
  file.attr("num_scan_inputs", int64_t{1});
  const Model model = file.import();
  EXPECT_EQ(only(model.graph, "Tanh").repeat, 12);
  EXPECT_EQ(model.graph.tensor(only(model.graph, "Expand").outputs[0]).type.shape,
            (Shape{12, 2, 8}));
}

}  // namespace
}  // namespace meshplan
