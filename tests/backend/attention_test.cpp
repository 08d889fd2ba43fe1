// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "tests/backend/kernel_harness.h"

namespace meshplan {
namespace {

struct Extents {
  int64_t b, h, g, q, t, d, v;
};

KernelCase attention(DType dtype, Extents e, Attributes attributes) {
  return {"Attention",
          std::move(attributes),
          {randomArray(dtype, {e.b, e.h, e.q, e.d}, 1), randomArray(dtype, {e.b, e.g, e.t, e.d}, 2),
           randomArray(dtype, {e.b, e.g, e.t, e.v}, 3)}};
}

Array booleans(const Shape& shape) {
  std::vector<double> values = randomArray(DType::f64, shape, 9).values();
  for (double& v : values) v = v > -0.3;
  values[0] = 1;
  return {{DType::boolean, shape}, values};
}

std::vector<KernelCase> casesOf(DType t, const std::string& implementation) {
  const Attribute kind = implementation;
  const Attributes plain{{"implementation", kind}};
  const Attributes causal{{"implementation", kind}, {"causal", int64_t{1}}};
  const Attributes scaled{{"implementation", kind}, {"scale", 0.3}, {"causal", int64_t{1}}};
  std::vector<KernelCase> cases{
      attention(t, {2, 4, 4, 5, 7, 8, 8}, plain),      attention(t, {2, 4, 2, 6, 6, 8, 3}, causal),
      attention(t, {1, 6, 2, 70, 70, 4, 5}, causal),   attention(t, {1, 2, 1, 3, 300, 4, 4}, plain),
      attention(t, {1, 2, 2, 130, 300, 4, 4}, scaled),
  };
  const auto masked = [&](Extents e, const Attributes& attributes, Array mask) {
    cases.push_back(attention(t, e, attributes));
    cases.back().inputs.push_back(std::move(mask));
  };
  masked({2, 4, 2, 5, 7, 8, 8}, plain, randomArray(t, {1, 4, 5, 7}, 5));
  masked({2, 4, 4, 5, 7, 8, 8}, causal, randomArray(t, {2, 1, 1, 7}, 5));
  masked({2, 2, 2, 5, 7, 8, 8}, plain, randomArray(t, {5, 7}, 5));
  masked({2, 2, 2, 5, 7, 8, 8}, plain, booleans({2, 1, 5, 7}));
  masked({2, 2, 2, 5, 7, 8, 8}, causal, booleans({1, 7}));
  return cases;
}

std::string describe(const KernelCase& c) {
  std::string text = c.attributes.getString("implementation", "") + " " +
                     std::string(dtypeName(c.inputs[0].type().dtype));
  for (const Array& a : c.inputs) text += " " + shapeText(a.shape());
  return text;
}

/// The definition, one query at a time, with probabilities multiplied by `kept` where given.
std::vector<double> naive(const KernelCase& c, const std::vector<double>* kept = nullptr) {
  const Shape &q = c.inputs[0].shape(), &k = c.inputs[1].shape(), &v = c.inputs[2].shape();
  const std::vector<double> qs = c.inputs[0].values(), ks = c.inputs[1].values(),
                            vs = c.inputs[2].values();
  const double scale = c.attributes.getFloat("scale", 1 / std::sqrt(static_cast<double>(q[3])));
  const bool causal = c.attributes.getInt("causal", 0) != 0;
  const auto maskAt = [&](int64_t b, int64_t h, int64_t i, int64_t j) {
    if (c.inputs.size() < 4) return 0.0;
    const Shape& m = c.inputs[3].shape();
    const int64_t index[4] = {b, h, i, j};
    int64_t at = 0;
    for (size_t d = 0; d < m.size(); ++d)
      at = at * m[d] + (m[d] == 1 ? 0 : index[4 - m.size() + d]);
    const double value = c.inputs[3].values()[static_cast<size_t>(at)];
    if (c.inputs[3].type().dtype == DType::boolean) return value != 0 ? 0.0 : -INFINITY;
    return value;
  };
  std::vector<double> o;
  for (int64_t b = 0; b < q[0]; ++b)
    for (int64_t h = 0; h < q[1]; ++h)
      for (int64_t i = 0; i < q[2]; ++i) {
        const int64_t group = b * k[1] + h / (q[1] / k[1]), row = (b * q[1] + h) * q[2] + i;
        std::vector<double> p(static_cast<size_t>(k[2]), 0), out(static_cast<size_t>(v[3]), 0);
        double sum = 0;
        for (int64_t j = 0; j < (causal ? std::min(i + 1, k[2]) : k[2]); ++j) {
          double score = 0;
          for (int64_t x = 0; x < q[3]; ++x)
            score += qs[static_cast<size_t>(row * q[3] + x)] *
                     ks[static_cast<size_t>((group * k[2] + j) * q[3] + x)];
          sum += p[static_cast<size_t>(j)] = std::exp(score * scale + maskAt(b, h, i, j));
        }
        for (int64_t j = 0; j < k[2]; ++j)
          for (int64_t x = 0; x < v[3]; ++x)
            out[static_cast<size_t>(x)] +=
                (sum == 0 ? 0 : p[static_cast<size_t>(j)] / sum) *
                (kept ? (*kept)[static_cast<size_t>(row * k[2] + j)] : 1) *
                vs[static_cast<size_t>((group * k[2] + j) * v[3] + x)];
        o.insert(o.end(), out.begin(), out.end());
      }
  return o;
}

TEST(Attention, outputsAreThoseOfTheDefinition) {
  for (const std::string kind : {"flash", "flash-1", "fused-softmax", "math"})
    for (const KernelCase& c : casesOf(DType::f64, kind))
      EXPECT_LE(largestError(runForward(c)[0].values(), naive(c)), 1e-12) << describe(c);
}

TEST(Attention, flashAndMathAgreeInGradientsToo) {
  const std::vector<KernelCase> flash = casesOf(DType::f64, "flash");
  const std::vector<KernelCase> math = casesOf(DType::f64, "math");
  for (size_t i = 0; i < flash.size(); ++i) {
    const auto a = runForward(flash[i]), b = runForward(math[i]);
    const Array dy = randomArray(DType::f64, a[0].shape(), 4);
    const auto da = runBackward(flash[i], a, {dy}), db = runBackward(math[i], b, {dy});
    for (size_t k = 0; k < da.size(); ++k) {
      if (!da[k]) continue;
      EXPECT_LE(largestError(*da[k], *db[k]), 1e-12) << describe(flash[i]) << k;
    }
  }
}

TEST(Attention, gradientsAreThoseOfDifferences) {
  for (const std::string kind : {"flash", "math"})
    for (const KernelCase& c : casesOf(DType::f64, kind)) {
      if (c.inputs[0].type().elements() > 1000) continue;
      EXPECT_LE(gradientError(c), 1e-7) << describe(c);
    }
}

TEST(Attention, fp32AndBf16AreCloseToFp64) {
  for (const std::string kind : {"flash", "math"})
    for (const DType t : {DType::f32, DType::bf16})
      for (const KernelCase& c : casesOf(t, kind))
        EXPECT_LE(precisionError(c), t == DType::f32 ? 1e-5 : 3e-2) << describe(c);
}

TEST(Attention, partsAlongEachAxisMakeTheWhole) {
  for (const std::string kind : {"flash", "math"}) {
    const Attributes causal{{"implementation", kind}, {"causal", int64_t{1}}};
    const KernelCase c = attention(DType::f64, {4, 4, 2, 6, 6, 8, 8}, causal);
    for (const char* axis : {"batch", "kv_heads", "queries"})
      EXPECT_LE(shardingError(c, axis), 1e-12) << axis;
    const KernelCase shared = attention(DType::f64, {4, 4, 1, 6, 6, 8, 8}, causal);
    EXPECT_LE(shardingError(shared, "heads"), 1e-12);
  }
}

TEST(Attention, droppedProbabilitiesAreLeftOutInBothPasses) {
  const Attributes dropping{{"implementation", std::string("math")}, {"dropout", 0.25}};
  KernelCase c = attention(DType::f64, {2, 4, 2, 12, 12, 8, 8}, dropping);
  c.seed = 5;
  const auto outputs = runForward(c);
  ASSERT_EQ(outputs.size(), 4u);
  std::vector<double> kept = outputs[2].values();
  double sum = 0;
  for (double& k : kept) sum += k, k /= 0.75;
  EXPECT_NEAR(sum / static_cast<double>(kept.size()), 0.75, 0.05);
  EXPECT_LE(largestError(outputs[0].values(), naive(c, &kept)), 1e-12);
  EXPECT_LE(gradientError(c), 1e-7);
  for (const char* axis : {"batch", "kv_heads", "queries"})
    EXPECT_LE(shardingError(c, axis), 1e-12) << axis;

  KernelCase flash = c;
  flash.attributes.set("implementation", std::string("flash"));
  EXPECT_LE(largestError(runForward(flash)[0], outputs[0]), 1e-12);
  EXPECT_LE(gradientError(flash), 1e-7);
  KernelCase other = c, evaluation = c;
  other.seed = 6;
  evaluation.training = false;
  EXPECT_GT(largestError(runForward(other)[0], outputs[0]), 1e-3);
  EXPECT_LE(largestError(runForward(evaluation)[0].values(), naive(c)), 1e-12);
}

TEST(Attention, aQueryThatSeesNothingGetsZeros) {
  for (const std::string kind : {"flash", "math"}) {
    KernelCase c = attention(DType::f32, {1, 1, 1, 2, 3, 4, 4}, {{"implementation", kind}});
    c.inputs.push_back(Array({DType::boolean, {2, 3}}, {0, 0, 0, 1, 1, 0}));
    const auto outputs = runForward(c);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(outputs[0].values()[i], 0);
    for (const auto& g : runBackward(c, outputs, {randomArray(DType::f32, {1, 1, 2, 4}, 3)})) {
      if (!g) continue;
      for (double v : g->values()) EXPECT_TRUE(std::isfinite(v));
    }
  }
}

TEST(Attention, equalCallsGiveEqualBits) {
  for (const KernelCase& c : casesOf(DType::f32, "flash"))
    EXPECT_TRUE(runForward(c) == runForward(c));
}

}  // namespace
}  // namespace meshplan
