// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace meshplan {

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment) between
/// two names, upper and lower case alike. Names are cut at 64 characters.
size_t editDistance(std::string_view a, std::string_view b);

/// The known names closest to `name`, best first, at most `most`: within a third of its length plus
/// one edits, or containing it. Empty when nothing is near.
std::vector<std::string> nearestNames(std::string_view name,
                                      std::span<const std::string_view> known, size_t most = 3);

/// "did you mean 'a' or 'b'?", or `otherwise` when nothing is near: a remedy for an Error.
std::string didYouMean(std::string_view name, std::span<const std::string_view> known,
                       std::string_view otherwise = {});

}  // namespace meshplan
