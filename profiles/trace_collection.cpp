// SPDX-License-Identifier: Apache-2.0
#include "profiles/trace_collection.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr std::string_view kNode = "autograd::engine::evaluate_function: ";
constexpr const char* kNoCounterpart = "graphs have no such operator";

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

int keyOf(const AtenHints& h) {
  return h.tf32 + 2 * h.mathAttention + 4 * (h.compute ? 1 + static_cast<int>(*h.compute) : 0);
}

}  // namespace

TraceCollection::TraceCollection(OperatorTrace& trace, ImportCollector& collector)
    : trace_(trace), collector_(collector) {}

void TraceCollection::run() {
  nest();
  sumKernels();
  markGradients();
  takenBy_.assign(ranges_.size(), -1);
  takeForward(false);
  takeGradients();
  takeForward(true);
  leaveOutRest();
}

void TraceCollection::Times::add(const Times& other) {
  all += other.all;
  input += other.input;
  weight += other.weight;
  tf32 = tf32 || other.tf32;
  if (!compute) compute = other.compute;
}

void TraceCollection::nest() {
  std::vector<size_t> order(trace_.ranges_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const auto &x = trace_.ranges_[a], &y = trace_.ranges_[b];
    return std::tie(x.thread, x.begin, y.end) < std::tie(y.thread, y.begin, x.end);
  });
  std::vector<size_t> place(order.size());
  for (size_t i = 0; i < order.size(); ++i) place[order[i]] = i;
  for (auto& kernel : trace_.kernels_)
    if (kernel.range >= 0)
      kernel.range = static_cast<int64_t>(place[static_cast<size_t>(kernel.range)]);
  ranges_.reserve(order.size());
  for (size_t i : order) ranges_.push_back(trace_.ranges_[i]);
  parent_.assign(ranges_.size(), -1);
  after_.assign(ranges_.size(), ranges_.size());
  std::vector<size_t> open;
  for (size_t i = 0; i < ranges_.size(); ++i) {
    const auto closed = [&](size_t o) {
      return ranges_[o].thread != ranges_[i].thread || ranges_[o].end <= ranges_[i].begin;
    };
    for (; !open.empty() && closed(open.back()); open.pop_back()) after_[open.back()] = i;
    if (!open.empty()) parent_[i] = static_cast<int64_t>(open.back());
    open.push_back(i);
  }
}

/// The innermost range of the thread that holds the time; the number of ranges if there is none.
size_t TraceCollection::innermost(uint64_t thread, int64_t time) const {
  auto it = std::upper_bound(ranges_.begin(), ranges_.end(), std::pair(thread, time),
                             [](const auto& t, const OperatorTrace::Range& r) {
                               return t < std::pair(r.thread, r.begin);
                             });
  if (it == ranges_.begin()) return ranges_.size();
  int64_t i = it - ranges_.begin() - 1;
  while (i >= 0) {
    const auto& r = ranges_[static_cast<size_t>(i)];
    if (r.thread != thread) break;
    if (r.end >= time) return static_cast<size_t>(i);
    i = parent_[static_cast<size_t>(i)];
  }
  return ranges_.size();
}

/// What the names of kernels say: cuBLAS and CUTLASS name TF32 or its instructions, cuDNN the
/// direction of a convolution, templates of PyTorch their element type.
TraceCollection::Times TraceCollection::timesOf(const std::string& kernel, double seconds) {
  Times t;
  t.all = seconds;
  if (has(kernel, "dgrad")) t.input = seconds;
  if (has(kernel, "wgrad")) t.weight = seconds;
  t.tf32 = has(kernel, "tf32") || (has(kernel, "s1688gemm") && !has(kernel, "f16"));
  if (has(kernel, "bf16") || has(kernel, "BFloat16") || has(kernel, "bfloat16"))
    t.compute = DType::bf16;
  else if (has(kernel, "f16") || has(kernel, "Half") || has(kernel, "h884") || has(kernel, "hgemm"))
    t.compute = DType::f16;
  else if (has(kernel, "float") || has(kernel, "sgemm") || has(kernel, "f32"))
    t.compute = DType::f32;
  return t;
}

void TraceCollection::sumKernels() {
  onDevice_ = !trace_.kernels_.empty();
  own_.assign(ranges_.size(), {});
  for (const auto& kernel : trace_.kernels_) {
    const std::string& text = trace_.texts_[kernel.name];
    const size_t r = kernel.range >= 0 ? static_cast<size_t>(kernel.range)
                                       : innermost(kernel.thread, kernel.time);
    if (r < ranges_.size())
      own_[r].add(timesOf(text, kernel.seconds));
    else
      collector_.leaveOut(text, "kernels that no operator launched", kernel.seconds);
  }
  below_ = own_;
  for (size_t i = ranges_.size(); i-- > 0;)
    if (parent_[i] >= 0) below_[static_cast<size_t>(parent_[i])].add(below_[i]);
}

const std::string& TraceCollection::name(size_t r) const {
  return trace_.texts_[ranges_[r].name];
}

void TraceCollection::markGradients() {
  inGradient_.assign(ranges_.size(), 0);
  covered_.assign(ranges_.size(), 0);
  for (size_t i = 0; i < ranges_.size(); ++i) {
    const bool below = parent_[i] >= 0 && inGradient_[static_cast<size_t>(parent_[i])];
    inGradient_[i] = below || std::string_view(name(i)).starts_with(kNode);
    if (!inGradient_[i] && ranges_[i].sequence >= 0) bySequence_[ranges_[i].sequence] = i;
  }
}

TraceCollection::Call& TraceCollection::callOf(size_t r) {
  const auto [it, added] = calls_.try_emplace({ranges_[r].name, ranges_[r].call});
  if (!added) return it->second;
  const std::string& text = trace_.texts_[ranges_[r].call];
  const size_t first = text.find('\n'), second = text.find('\n', first + 1);
  if (second != std::string::npos)
    it->second.call =
        parseAtenCall(name(r), text.substr(0, first), text.substr(first + 1, second - first - 1),
                      text.substr(second + 1));
  return it->second;
}

AtenHints TraceCollection::hintsOf(size_t r) {
  AtenHints hints;
  hints.tf32 = below_[r].tf32;
  hints.compute = below_[r].compute;
  for (size_t i = r; i < after_[r]; ++i)
    hints.mathAttention = hints.mathAttention || has(name(i), "attention_math");
  return hints;
}

const AtenForms& TraceCollection::formsOf(size_t r, const AtenHints& hints) {
  Call& call = callOf(r);
  const auto [it, added] = call.forms.try_emplace(keyOf(hints));
  if (!added) return it->second;
  if (call.call)
    it->second = atenForms(*call.call, hints);
  else
    it->second.reason = "the shapes of its tensors are not recorded";
  return it->second;
}

const std::vector<FormWorks>& TraceCollection::worksOf(size_t r, const AtenHints& hints) {
  const AtenForms& forms = formsOf(r, hints);
  const auto [it, added] = callOf(r).works.try_emplace(keyOf(hints));
  if (!added) return it->second;
  for (const OperatorForm& form : forms.forms)
    for (Precision p : forms.precisions) try {
        it->second.push_back(meshplan::worksOf(form, p, storageDType(p)));
      } catch (const Error&) {
        // Another form of the call may fit; without any it is left out.
      }
  return it->second;
}

/// Whether a descendant is the same operator again: autocast converts the inputs first.
bool TraceCollection::holdsItself(size_t r) const {
  for (size_t i = r + 1; i < after_[r]; ++i)
    if (ranges_[i].name == ranges_[r].name) return true;
  return false;
}

double TraceCollection::hostSeconds(size_t r) const {
  return static_cast<double>(ranges_[r].end - ranges_[r].begin) * 1e-9;
}

/// Of a node of autograd: its kernels, or what the operators that it calls took on the host.
double TraceCollection::nodeSeconds(size_t r) const {
  if (onDevice_) return below_[r].all;
  double seconds = 0;
  for (size_t i = r + 1; i < after_[r];) {
    const bool called = std::string_view(name(i)).starts_with("aten::");
    if (called) seconds += hostSeconds(i);
    i = called ? after_[i] : i + 1;
  }
  return seconds;
}

/// Of an operator of that def: its kernels, or what the innermost call of the same def took.
double TraceCollection::secondsOf(size_t r, std::string_view def) {
  if (onDevice_) return below_[r].all;
  double inner = 0;
  for (size_t i = r + 1; i < after_[r];) {
    const bool known = isAtenOperator(name(i));
    const AtenForms* forms = known ? &formsOf(i, hintsOf(i)) : nullptr;
    const bool same = known && std::any_of(forms->forms.begin(), forms->forms.end(),
                                           [&](const OperatorForm& f) { return f.def == def; });
    if (same) inner += secondsOf(i, def);
    i = same ? after_[i] : i + 1;
  }
  return inner > 0 && def != "Attention" ? inner : hostSeconds(r);
}

bool TraceCollection::take(size_t r) {
  if (!isAtenOperator(name(r)) || holdsItself(r)) return false;
  const AtenHints hints = hintsOf(r);
  const AtenForms& forms = formsOf(r, hints);
  if (forms.forms.empty()) {
    reasons_.try_emplace(ranges_[r].name, forms.reason);
    return false;
  }
  const auto& works = worksOf(r, hints);
  const double seconds = secondsOf(r, forms.forms[0].def);
  if (works.empty() || seconds <= 0) {
    if (works.empty()) reasons_.try_emplace(ranges_[r].name, "its shapes do not fit together");
    return false;
  }
  std::vector<NamedWork> named;
  for (const FormWorks& w : works)
    if (w.forward.work.kernels > 0) named.push_back(w.forward);
  collector_.addOperator(named, seconds);
  if (!onDevice_ && hostSeconds(r) > seconds)
    collector_.leaveOut("around operators", "dispatch by the framework", hostSeconds(r) - seconds);
  takenBy_[r] = static_cast<int64_t>(taken_.size());
  taken_.push_back({r, hints, {}});
  return true;
}

void TraceCollection::takeForward(bool inGradients) {
  for (size_t i = 0; i < ranges_.size(); ++i) {
    const auto parent = static_cast<size_t>(std::max<int64_t>(parent_[i], 0));
    if (parent_[i] >= 0 && covered_[parent]) {
      covered_[i] = 1;
      if (takenBy_[i] < 0) takenBy_[i] = takenBy_[parent];
    }
    if (covered_[i] || (inGradient_[i] != 0) != inGradients) continue;
    covered_[i] = take(i);
  }
}

void TraceCollection::takeGradients() {
  for (size_t i = 0; i < ranges_.size(); ++i) {
    if (!std::string_view(name(i)).starts_with(kNode) || ranges_[i].sequence < 0) continue;
    const auto forward = bySequence_.find(ranges_[i].sequence);
    if (forward == bySequence_.end() || takenBy_[forward->second] < 0) continue;
    taken_[static_cast<size_t>(takenBy_[forward->second])].nodes.push_back(i);
    covered_[i] = 1;
  }
  const size_t count = taken_.size();
  for (size_t t = 0; t < count; ++t)
    if (!taken_[t].nodes.empty()) takeGradient(taken_[t]);
}

/// A product is the gradient of the operand of as many elements; of two equal ones autograd makes
/// the first operand's first. A bias is summed, and that belongs to the weight's.
void TraceCollection::splitContraction(const Taken& taken, double& input, double& weight) {
  const OperatorForm& form = formsOf(taken.range, taken.hints).forms[0];
  const int64_t first = elementCount(form.inputs[0].shape),
                second = elementCount(form.inputs[1].shape);
  double total = 0;
  bool inputDone = false;
  for (size_t node : taken.nodes) {
    total += nodeSeconds(node);
    for (size_t i = node + 1; i < after_[node];) {
      const auto elements =
          callOf(i).call ? productElements(*callOf(i).call) : std::optional<int64_t>();
      if (!elements) {
        ++i;
        continue;
      }
      const double seconds = onDevice_ ? below_[i].all : hostSeconds(i);
      const bool ofInput = *elements == first && (*elements != second || !inputDone);
      (ofInput ? input : weight) += seconds;
      inputDone = inputDone || ofInput;
      i = after_[i];
    }
  }
  const double rest = std::max(0.0, total - input - weight);
  if (input + weight > 0) (form.inputs.size() > 2 ? weight : input) += rest;
}

bool TraceCollection::splitConvolution(const Taken& taken, double& input, double& weight) {
  Times times;
  bool weightOnly = false;
  for (size_t node : taken.nodes) {
    times.add(below_[node]);
    if (!onDevice_) times.all += nodeSeconds(node);
    for (size_t i = node; i < after_[node]; ++i) {
      if (name(i) != "aten::convolution_backward" || !callOf(i).call) continue;
      const auto& arguments = callOf(i).call->arguments;
      weightOnly = arguments.size() > 10 && arguments[10].value.starts_with("[False");
    }
  }
  if (weightOnly)
    weight = times.all;
  else if (times.input > 0 && times.weight > 0)
    input = times.input, weight = times.all - times.input;
  return input + weight > 0;
}

void TraceCollection::addGradient(const std::vector<FormWorks>& works, Phase phase,
                                  double seconds) {
  std::vector<NamedWork> named;
  for (const FormWorks& w : works)
    for (const NamedWork& g : w.gradients)
      if (g.work.phase == phase && g.work.kernels > 0) named.push_back(g);
  if (!named.empty() && seconds > 0) collector_.addOperator(named, seconds);
}

void TraceCollection::takeGradient(const Taken& taken) {
  const auto& works = worksOf(taken.range, taken.hints);
  const OperatorDef& def = *works[0].forward.work.def;
  double input = 0, weight = 0, total = 0;
  for (size_t node : taken.nodes) total += nodeSeconds(node);
  if (total <= 0) return;
  bool known = true;
  if (def.opClass == OpClass::contraction)
    splitContraction(taken, input, weight), known = input + weight > 0;
  else if (def.opClass == OpClass::convolution)
    known = splitConvolution(taken, input, weight);
  else
    input = total;
  if (known) {
    addGradient(works, Phase::backwardInput, input);
    addGradient(works, Phase::backwardWeight, weight);
    return;
  }
  collector_.leaveOut(std::string(def.name) + " backward",
                      "the gradients of input and weight cannot be told apart", total);
}

void TraceCollection::leaveOutRest() {
  std::vector<double> children(ranges_.size(), 0);
  if (!onDevice_)
    for (size_t i = 0; i < ranges_.size(); ++i)
      if (parent_[i] >= 0) children[static_cast<size_t>(parent_[i])] += hostSeconds(i);
  for (size_t i = 0; i < ranges_.size(); ++i) {
    const double seconds = onDevice_ ? own_[i].all : hostSeconds(i) - children[i];
    if (covered_[i] || seconds <= 0) continue;
    const auto reason = reasons_.find(ranges_[i].name);
    const bool framework = !onDevice_ && (!has(name(i), "::") || has(name(i), "autograd::"));
    collector_.leaveOut(framework ? "around operators" : name(i),
                        framework                  ? "dispatch by the framework"
                        : reason == reasons_.end() ? kNoCounterpart
                                                   : reason->second,
                        seconds);
  }
}

}  // namespace meshplan
