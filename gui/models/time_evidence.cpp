// SPDX-License-Identifier: Apache-2.0
#include "gui/models/time_evidence.h"

#include <QCoreApplication>
#include <QStringList>
#include <algorithm>
#include <map>
#include <tuple>

#include "gui/text.h"

namespace meshplan::gui {
namespace {

using CollectiveKey = std::tuple<Instruction::Kind, CollectiveKind, MeshAxes, int64_t>;

constexpr double kWorthTelling = 0.005;  // of the time

std::optional<TimeEvidence> named(const std::string& provenance) {
  for (const Provenance p : {Provenance::analytic, Provenance::interpolated, Provenance::measured})
    if (provenanceName(p) == provenance) return TimeEvidence{p, -1};
  return std::nullopt;
}

CollectiveKey keyOf(const Instruction& in) {
  const bool transfer = in.kind != Instruction::Kind::collective;
  return {in.kind, transfer ? CollectiveKind::sendReceive : in.collective,
          transfer ? MeshAxes(MeshAxis::pipeline) : in.axes, in.bytes.value};
}

std::map<CollectiveKey, std::string> collectivesOf(const Comparison& c) {
  std::map<CollectiveKey, std::string> out;
  for (size_t i = 0; i < c.diff.byCollective.size() && i < c.collectiveProvenance.size(); ++i) {
    const ComparedCollective& row = c.diff.byCollective[i];
    out[{row.kind, row.collective, row.axes, row.bytes.value}] = c.collectiveProvenance[i];
  }
  return out;
}

QString withUncertainty(const QString& text, double uncertainty) {
  if (uncertainty < 0) return text;
  return QCoreApplication::translate("Evidence", "%1, ± %2").arg(text, percent(uncertainty));
}

}  // namespace

EvidenceTable::EvidenceTable(const InstructionTimes& times) {
  for (const std::vector<Evidence>& routine : times.evidence) {
    rows_.emplace_back();
    for (const Evidence& e : routine)
      rows_.back().push_back(TimeEvidence{e.provenance, double(e.uncertainty)});
  }
}

EvidenceTable::EvidenceTable(const Comparison& c) {
  const Graph& graph = c.planning->training().graph;
  const auto collectives = collectivesOf(c);
  const auto found = [](const auto& map, const auto& key) {
    const auto at = map.find(key);
    return at == map.end() ? std::optional<TimeEvidence>() : named(at->second);
  };
  for (const Routine& routine : c.program.routines) {
    rows_.emplace_back();
    for (const Instruction& in : routine.instructions)
      rows_.back().push_back(
          in.kind == Instruction::Kind::compute
              ? found(c.operatorProvenance, std::pair(in.op, comparedPhase(graph, routine, in)))
              : found(collectives, keyOf(in)));
  }
}

std::optional<TimeEvidence> EvidenceTable::of(uint32_t routine, uint32_t instruction) const {
  if (routine >= rows_.size() || instruction >= rows_[routine].size()) return std::nullopt;
  return rows_[routine][instruction];
}

void EvidenceSum::add(double seconds, const std::optional<TimeEvidence>& evidence) {
  if (!evidence || seconds <= 0) return;
  known_ += seconds;
  seconds_[size_t(evidence->provenance)] += seconds;
  if (evidence->uncertainty < 0) return;
  withErrors_ += seconds;
  errors_ += seconds * evidence->uncertainty;
}

EvidenceSum& EvidenceSum::operator+=(const EvidenceSum& o) {
  for (size_t i = 0; i < seconds_.size(); ++i) seconds_[i] += o.seconds_[i];
  known_ += o.known_;
  errors_ += o.errors_;
  withErrors_ += o.withErrors_;
  return *this;
}

Provenance EvidenceSum::provenance() const {
  return Provenance(std::max_element(seconds_.begin(), seconds_.end()) - seconds_.begin());
}

QString EvidenceSum::text() const {
  if (!known()) return {};
  const double uncertainty = withErrors_ > 0 ? errors_ / withErrors_ : -1;
  QStringList parts;
  for (size_t p = seconds_.size(); p-- > 0;)
    if (seconds_[p] > kWorthTelling * known_)
      parts << percent(seconds_[p] / known_) + ' ' + gui::term(provenanceName(Provenance(p)));
  if (parts.size() == 1) parts.front() = gui::term(provenanceName(provenance()));
  return withUncertainty(parts.join(QStringLiteral(", ")), uncertainty);
}

QString evidenceText(const TimeEvidence& evidence) {
  return withUncertainty(term(provenanceName(evidence.provenance)), evidence.uncertainty);
}

}  // namespace meshplan::gui
