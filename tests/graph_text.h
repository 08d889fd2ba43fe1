// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "core/model.h"

namespace meshplan {

/// A graph in a few lines of text, one operator or input each:
///   x = input [4,128,256]              a float input; `ints` for int64; dimension 0 is the batch,
///   1 the sequence if rank > 1 h = Linear(x, *256x1024, *1024) {out_block=2} @layers.0
/// `*AxB` is a new parameter, `*name:AxB` one that later lines may use again as `*name`. `@` gives
/// the module. Attributes are numbers, words, or lists of numbers: `pads=1x1x1x1`, `axes=1x`.
/// Several results: `q, k, v = SplitHeads(...)`. The last result is the model's output. A line
/// `repeat N` ... `end` repeats the lines between with `#` replaced by the round.
Model modelFromText(std::string_view text, int64_t referenceBatch);

}  // namespace meshplan
