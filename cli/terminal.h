// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "app/notices.h"

namespace meshplan {

/// Whether stdout (stderr) is a terminal. Colours only there, and not with NO_COLOR set.
bool outputIsTerminal();
bool messagesAreTerminal();
std::string bold(std::string_view text);

/// Data for stdout, out before any later message. Throws Error(runtime) when it cannot be written.
void print(std::string_view data);

/// Messages for stderr: "warning: ..." and "note: ..." wrapped to the line.
void warn(std::string_view text);
void note(std::string_view text);

/// From now on `warn`, `note` and `showProgress` do nothing: other ranks than 0 say only errors.
void silenceMessages();

/// One line on stderr that is written over, on a terminal only; `clearProgress` removes it.
void showProgress(const std::string& line);
void clearProgress();

/// A notice as one of these.
void tellTerminal(const Notice& notice);

/// From now on the first Ctrl-C only asks to stop; a second one ends the program.
void catchInterrupts();
bool interrupted();

}  // namespace meshplan
