// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "backend/cpu/convolution.h"
#include "backend/cpu/dnnl_cache.h"
#include "backend/cpu/onednn.h"

namespace meshplan {
namespace {

using Desc = dnnl::memory::desc;

/// One operand in our dense layout and in the primitive's.
struct Operand {
  int argument;
  dnnl::memory plain, inner;
  bool written = false;
  std::optional<dnnl::reorder> reorder;
};

/// A compiled convolution with the reorderings around it.
struct CompiledConvolution {
  dnnl::primitive primitive;
  std::vector<Operand> operands;
  size_t bytes = 0;

  void add(const dnnl::engine& engine, int argument, const Desc& plain, const Desc& inner,
           bool written, bool accumulate) {
    Operand o{argument, dnnl::memory(plain, engine, DNNL_MEMORY_NONE),
              dnnl::memory(inner, engine, DNNL_MEMORY_NONE), written, std::nullopt};
    if (plain != inner || accumulate) {
      dnnl::primitive_attr attributes;
      dnnl::post_ops sum;
      if (accumulate) sum.append_sum(1.0f);
      attributes.set_post_ops(sum);
      o.reorder = written ? dnnl::reorder({engine, inner, engine, plain, attributes})
                          : dnnl::reorder({engine, plain, engine, inner});
      bytes += innerBytes(o);
    }
    operands.push_back(std::move(o));
  }

  void run(CpuContext& context, dnnl::stream& stream, std::initializer_list<void*> data) {
    auto* scratch = static_cast<std::byte*>(context.scratch(bytes));
    std::unordered_map<int, dnnl::memory> arguments;
    for (size_t i = 0; i < operands.size(); ++i) {
      Operand& o = operands[i];
      o.plain.set_data_handle(data.begin()[i]);
      o.inner.set_data_handle(o.reorder ? scratch : data.begin()[i]);
      if (o.reorder) scratch += innerBytes(o);
      if (o.reorder && !o.written) o.reorder->execute(stream, o.plain, o.inner);
      arguments.emplace(o.argument, o.inner);
    }
    primitive.execute(stream, arguments);
    for (Operand& o : operands)
      if (o.reorder && o.written) o.reorder->execute(stream, o.inner, o.plain);
  }

 private:
  static size_t innerBytes(const Operand& o) {
    return (o.inner.get_desc().get_size() + 63) / 64 * 64;
  }
};

struct ConvolutionCache {
  struct Hash {
    size_t operator()(const DnnlCache::Key& key) const { return DnnlCache::hash(key); }
  };
  // Empty: oneDNN has none.
  std::unordered_map<DnnlCache::Key, std::optional<CompiledConvolution>, Hash> compiled;
};

Desc dense(const Shape& shape, DType dtype) {
  dnnl::memory::dims strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;)
    strides[d - 1] = strides[d] * std::max<int64_t>(shape[d], 1);
  return {shape, dnnlType(dtype), strides};
}

/// The layout that suits the primitive best.
Desc open(const Desc& plain) {
  return {plain.dims(), plain.data_type(), dnnl::memory::format_tag::any};
}

struct Descs {
  Desc x, w, y, bias;
  dnnl::memory::dims strides, dilations, before, after;

  Descs(const ConvolutionGeometry& g, const ConvolutionData& d)
      : x(dense(d.x.type.shape, d.x.type.dtype)),
        w(dense(weightShape(g, d), d.w.type.dtype)),
        y(dense(d.y.type.shape, d.y.type.dtype)),
        strides(g.strides),
        dilations(g.dilations),
        before(g.before) {
    if (d.bias) bias = dense({g.groups * g.filters}, d.bias->type.dtype);
    for (int64_t& dilation : dilations) --dilation;
    for (size_t i = 0; i < g.in.size(); ++i)
      after.push_back(std::max<int64_t>(0, (g.out[i] - 1) * g.strides[i] +
                                               g.dilations[i] * (g.kernel[i] - 1) + 1 - g.in[i] -
                                               g.before[i]));
  }

  static Shape weightShape(const ConvolutionGeometry& g, const ConvolutionData& d) {
    Shape shape = d.w.type.shape;
    if (g.groups == 1) return shape;
    shape[0] = g.filters;
    shape.insert(shape.begin(), g.groups);
    return shape;
  }
};

using Forward = dnnl::convolution_forward;
constexpr auto kDirect = dnnl::algorithm::convolution_direct;

/// Also the hint of the gradients' primitives: weights then in the dtype of x.
Forward::primitive_desc forwardDesc(const dnnl::engine& engine, const Descs& d) {
  const auto kind = dnnl::prop_kind::forward_training;
  const Desc w(d.w.dims(), d.x.data_type(), dnnl::memory::format_tag::any);
  if (d.bias.is_zero())
    return {{kind, kDirect, open(d.x), w, open(d.y), d.strides, d.dilations, d.before, d.after},
            engine};
  return {
      {kind, kDirect, open(d.x), w, d.bias, open(d.y), d.strides, d.dilations, d.before, d.after},
      engine};
}

CompiledConvolution compile(const dnnl::engine& engine, const ConvolutionGeometry& g,
                            ConvolutionPass pass, const ConvolutionData& data) {
  const Descs d(g, data);
  const Forward::primitive_desc forward = forwardDesc(engine, d);
  CompiledConvolution c;
  if (pass == ConvolutionPass::output) {
    c.primitive = Forward(forward);
    c.add(engine, DNNL_ARG_SRC, d.x, forward.src_desc(), false, false);
    c.add(engine, DNNL_ARG_WEIGHTS, d.w, forward.weights_desc(), false, false);
    c.add(engine, DNNL_ARG_DST, d.y, forward.dst_desc(), true, false);
    if (data.bias) c.add(engine, DNNL_ARG_BIAS, d.bias, forward.bias_desc(), false, false);
  } else if (pass == ConvolutionPass::input) {
    using Backward = dnnl::convolution_backward_data;
    const Backward::primitive_desc p(
        {kDirect, open(d.x), open(d.w), open(d.y), d.strides, d.dilations, d.before, d.after},
        engine, forward);
    c.primitive = Backward(p);
    c.add(engine, DNNL_ARG_DIFF_SRC, d.x, p.diff_src_desc(), true, false);
    c.add(engine, DNNL_ARG_WEIGHTS, d.w, p.weights_desc(), false, false);
    c.add(engine, DNNL_ARG_DIFF_DST, d.y, p.diff_dst_desc(), false, false);
  } else {
    using Backward = dnnl::convolution_backward_weights;
    const Backward::primitive_desc p(
        {kDirect, open(d.x), open(d.w), open(d.y), d.strides, d.dilations, d.before, d.after},
        engine, forward);
    c.primitive = Backward(p);
    c.add(engine, DNNL_ARG_SRC, d.x, p.src_desc(), false, false);
    c.add(engine, DNNL_ARG_DIFF_WEIGHTS, d.w, p.diff_weights_desc(), true, data.accumulate);
    c.add(engine, DNNL_ARG_DIFF_DST, d.y, p.diff_dst_desc(), false, false);
  }
  return c;
}

DnnlCache::Key keyOf(const ConvolutionGeometry& g, ConvolutionPass pass, const ConvolutionData& d) {
  DnnlCache::Key key{static_cast<int64_t>(pass),
                     static_cast<int64_t>(d.x.type.dtype),
                     static_cast<int64_t>(d.w.type.dtype),
                     static_cast<int64_t>(d.y.type.dtype),
                     d.bias ? static_cast<int64_t>(d.bias->type.dtype) : -1,
                     d.accumulate,
                     g.batch,
                     g.groups,
                     g.channels,
                     g.filters};
  for (const Shape* s : {&g.in, &g.out, &g.kernel, &g.strides, &g.dilations, &g.before})
    key.insert(key.end(), s->begin(), s->end());
  return key;
}

bool isUsual(const ConvolutionGeometry& g, const ConvolutionData& d) {
  const auto nonNegative = [](int64_t v) { return v >= 0; };
  return d.x.type.dtype != DType::f64 && g.in.size() <= 3 && d.x.type.elements() > 0 &&
         d.y.type.elements() > 0 && std::all_of(g.before.begin(), g.before.end(), nonNegative);
}

}  // namespace

bool convolveDnnl(CpuContext& context, const ConvolutionGeometry& g, ConvolutionPass pass,
                  const ConvolutionData& d) {
  if (!isUsual(g, d)) return false;
  DnnlCache& cache = dnnlCache(context);
  const auto [at, isNew] = context.kept<ConvolutionCache>().compiled.try_emplace(keyOf(g, pass, d));
  std::optional<CompiledConvolution>& compiled = at->second;
  if (isNew) {
    try {
      compiled = compile(cache.engine(), g, pass, d);
    } catch (const dnnl::error& e) {
      if (e.status != dnnl_unimplemented && e.status != dnnl_invalid_arguments) throw;
    }
  }
  if (!compiled) return false;
  if (d.bias)
    compiled->run(context, cache.stream(), {d.x.data, d.w.data, d.y.data, d.bias->data});
  else
    compiled->run(context, cache.stream(), {d.x.data, d.w.data, d.y.data});
  return true;
}

}  // namespace meshplan
