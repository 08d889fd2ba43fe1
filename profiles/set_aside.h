// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "profiles/profile_store.h"

namespace meshplan {

/// A store to write to, if there is one to be had, and what to tell the user about it ("" when all
/// is well). For those who must go on without.
struct OpenedStore {
  std::optional<ProfileStore> store;
  std::string message;
};

/// Opens a store to write and looks at the whole of it. A damaged one is renamed to
/// "PATH.damaged-YYYYMMDD-HHMMSS", its journal with it, and a new one made in its place. At
/// `defaultProfilePath`, where nothing else belongs, that goes for files that are no profile
/// database too; elsewhere they, and databases of a newer Meshplan everywhere, are left alone and
/// there is no store, nor when the path is empty. Never throws Error.
OpenedStore openOrSetAside(const std::string& path);

}  // namespace meshplan
