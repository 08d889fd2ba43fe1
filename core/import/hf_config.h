// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "core/import/model_config.h"
#include "core/model.h"

namespace meshplan {

/// Models from Hugging Face `config.json` files (no weights needed). Parameter counts equal those
/// of the checkpoint; module names are the checkpoint's. Reads the families of `hfModelTypes()`,
/// files of any age: fields added later have their class defaults, renamed ones are found under
/// both names, multimodal files are entered at `text_config`. Throws Error(input) for a broken
/// file, a missing or impossible field, and an unknown model_type (naming the nearest and `--as`);
/// Error(usage) for unknown settings.
Model importHfConfig(const ModelRequest& request);

/// The same from a config that is parsed already; `request.source` becomes the name.
Model buildHfModel(ModelConfig config, const ModelRequest& request);

/// The known values of model_type, sorted.
std::vector<std::string_view> hfModelTypes();

}  // namespace meshplan
