// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/error.h"

namespace meshplan {

/// An error that every rank of a world throws alike, from what all have told each other. Nobody has
/// to be made fail, and must not be: a rank that is slower would tell of that instead of the error.
class AgreedError : public Error {
 public:
  explicit AgreedError(const Error& error) : Error(error) {}
};

}  // namespace meshplan
