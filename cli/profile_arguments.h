// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "app/profile_cost.h"

namespace CLI {
class App;
}

namespace meshplan {

/// `--profiles FILE|none`: which profile store (profiles/profile_store.h) a command reads and
/// writes.
struct ProfileArguments {
  std::string file;

  void addTo(CLI::App& app);
  /// Of the file that was named, else of the user's own store; empty for none.
  std::string path() const;
  /// The same for predictions.
  ProfileUse use() const { return {path(), {}, !file.empty()}; }
};

}  // namespace meshplan
