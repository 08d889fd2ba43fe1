// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "backend/communicator.h"

namespace meshplan {

class ThreadWorld;

/// Ranks as threads of one process: collectives read each other's memory directly, each rank
/// reducing its share of the elements for all (backend/comm/ordered_reduction.h); sends copy into a
/// mailbox. A rank uses its communicators from one thread at a time.
///
/// Ranks that call different operations, or the same one with other sizes, all get Error(runtime)
/// that names both calls. When no rank can ever go on, because every one waits for another or has
/// ended, all waiting ranks get Error(runtime) that says who waits for what; a rank has ended when
/// its last communicator is destroyed.
class InProcessWorld {
 public:
  explicit InProcessWorld(int ranks);
  ~InProcessWorld();

  int size() const;
  /// The group of all ranks as `rank` sees it; at most once per rank. It and what is split from it
  /// must not outlive this object.
  std::unique_ptr<Communicator> connect(int rank);

  /// Of these ranks, for communicators of other memory that fail with them.
  ThreadWorld& threads() { return *threads_; }

 private:
  std::unique_ptr<ThreadWorld> threads_;
};

/// Runs `body` for every rank, each on a thread of its own, until all have returned. A rank that
/// throws aborts the others; what the first one threw is thrown again here.
void runInProcess(int ranks, const std::function<void(Communicator&)>& body);
void runInProcess(InProcessWorld& world, const std::function<void(Communicator&)>& body);

}  // namespace meshplan
