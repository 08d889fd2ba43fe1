// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QTest>

#include "gui/session.h"

namespace meshplan::gui {

inline constexpr int kWaitMs = 120000;

/// A GPT that is planned in a moment, on eight GPUs.
inline OpenRequest smallGpt(int layers = 4, int hidden = 256, int64_t batch = 32) {
  OpenRequest request;
  request.model.source = "gpt";
  request.model.settings = {
      {"layers", std::to_string(layers)}, {"hidden", std::to_string(hidden)}, {"heads", "8"}};
  request.model.sequence = 128;
  request.cluster = "8xA100-SXM-80GB";
  request.globalBatch = batch;
  return request;
}

/// Nothing runs, and a plan is shown.
inline bool settled(const Session& session) {
  return QTest::qWaitFor([&] { return session.shown() && !session.busy(); }, kWaitMs);
}

}  // namespace meshplan::gui
