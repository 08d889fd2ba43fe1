// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "cli/table.h"
#include "core/error.h"

namespace meshplan {
namespace {

std::atomic<bool> stopRequested{false};
static_assert(std::atomic<bool>::is_always_lock_free);
bool silent = false;

void message(std::string_view kind, std::string_view text) {
  if (silent) return;
  clearProgress();
  fmt::print(stderr, "{}\n", wrap(fmt::format("{}: {}", kind, text), 100, "  "));
}

}  // namespace

bool outputIsTerminal() {
  return isatty(STDOUT_FILENO) != 0;
}

bool messagesAreTerminal() {
  return isatty(STDERR_FILENO) != 0;
}

std::string bold(std::string_view text) {
  const char* off = std::getenv("NO_COLOR");
  if (!outputIsTerminal() || (off && *off)) return std::string(text);
  return fmt::format("\x1b[1m{}\x1b[0m", text);
}

void print(std::string_view data) {
  std::fwrite(data.data(), 1, data.size(), stdout);
  if (std::fflush(stdout) != 0)
    throw Error(ErrorKind::runtime, "stdout cannot be written", "check where the output goes");
}

void warn(std::string_view text) {
  message("warning", text);
}

void note(std::string_view text) {
  message("note", text);
}

void silenceMessages() {
  silent = true;
}

void showProgress(const std::string& line) {
  constexpr const char* kCutAtTheEdge = "\x1b[?7l";
  constexpr const char* kWrap = "\x1b[?7h";
  if (messagesAreTerminal() && !silent)
    fmt::print(stderr, "\r\x1b[K{}{}{}", kCutAtTheEdge, line, kWrap);
}

void clearProgress() {
  if (messagesAreTerminal()) fmt::print(stderr, "\r\x1b[K");
}

void tellTerminal(const Notice& notice) {
  if (notice.kind == Notice::Kind::warning) return warn(notice.text);
  if (notice.kind == Notice::Kind::note) return note(notice.text);
  if (notice.text.empty()) return clearProgress();
  showProgress(notice.text);
}

void catchInterrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { stopRequested = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
}

bool interrupted() {
  return stopRequested;
}

}  // namespace meshplan
