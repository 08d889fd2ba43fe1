// SPDX-License-Identifier: Apache-2.0
#include "profiles/chrome_events.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "profiles/json_scanner.h"
#include "profiles/trace_stream.h"

namespace meshplan {
namespace {

using Kind = TraceEvent::Kind;
using Type = JsonScanner::Type;

double decimal(const std::string& text) {
  const double value = std::strtod(text.c_str(), nullptr);
  return std::isfinite(value) ? value : 0;
}

/// Microseconds, to the last of a thousandth: epochs need more digits than a double has.
int64_t nanoseconds(const std::string& text) {
  int64_t whole = 0;
  const char* end = text.data() + text.size();
  const auto [at, failed] = std::from_chars(text.data(), end, whole);
  constexpr int64_t kMost = INT64_MAX / 4000;
  if (failed != std::errc() || whole > kMost || whole < -kMost) return 0;
  if (at == end) return whole * 1000;
  if (*at != '.' || text.find_first_of("eE") != std::string::npos)
    return static_cast<int64_t>(std::llround(std::clamp(decimal(text) * 1000, -9e18, 9e18)));
  int64_t part = 0, digits = 0;
  for (const char* c = at + 1; c != end && digits < 3; ++c, ++digits) part = part * 10 + (*c - '0');
  for (; digits < 3; ++digits) part *= 10;
  return whole * 1000 + (text[0] == '-' ? -part : part);
}

/// One event, in whatever order its keys come.
class EventReader {
 public:
  EventReader(JsonScanner& in, const OnTraceEvent& onEvent) : in_(in), onEvent_(onEvent) {}

  void read() {
    clear();
    in_.enter();
    while (in_.key(key_)) field();
    if (kindFrom()) onEvent_(event_);
  }

 private:
  void clear() {
    event_.phase.clear();
    event_.category.clear();
    event_.name.clear();
    event_.process.clear();
    event_.thread.clear();
    letter_.clear();
    argumentName_.clear();
    event_.begin = event_.duration = 0;
    event_.microBatch = event_.chunk = event_.bytes = -1;
    event_.flow = 0;
    event_.value = order_ = 0;
    hasValue_ = hasTime_ = false;
  }

  void field() {
    if (key_ == "ph") return in_.scalar(letter_);
    if (key_ == "name") return in_.scalar(event_.name);
    if (key_ == "cat") return in_.scalar(event_.category);
    if (key_ == "pid") return in_.scalar(event_.process);
    if (key_ == "tid") return in_.scalar(event_.thread);
    if (key_ == "ts") return hasTime_ = true, time(event_.begin);
    if (key_ == "dur") return time(event_.duration);
    if (key_ == "id") return flowId();
    if (key_ == "args" && in_.next() == Type::object) return arguments();
    in_.skip();
  }
  void time(int64_t& out) {
    in_.scalar(text_);
    out = nanoseconds(text_);
  }
  void flowId() {
    in_.scalar(text_);
    event_.flow = std::hash<std::string>()(text_) | 1;
  }

  void arguments() {
    in_.enter();
    while (in_.key(key_)) argument();
  }
  void argument() {
    const Type type = in_.next();
    if (type == Type::string && (key_ == "phase" || key_ == "name"))
      return in_.string(key_ == "phase" ? event_.phase : argumentName_);
    if (type != Type::number) return in_.skip();
    in_.number(text_);
    if (key_ == "micro_batch") event_.microBatch = static_cast<int64_t>(decimal(text_));
    if (key_ == "chunk") event_.chunk = static_cast<int64_t>(decimal(text_));
    if (key_ == "bytes") event_.bytes = static_cast<int64_t>(decimal(text_));
    if (key_ == "sort_index") order_ = decimal(text_);
    if (!hasValue_) event_.value = decimal(text_), hasValue_ = true;
  }

  /// Whether it is one that is shown.
  bool kindFrom() {
    if (letter_ == "M") return metadata();
    if (!hasTime_) return false;
    if (letter_ == "X")
      event_.kind = Kind::slice;
    else if (letter_ == "B")
      event_.kind = Kind::begin;
    else if (letter_ == "E")
      event_.kind = Kind::end;
    else if (letter_ == "C" && hasValue_)
      event_.kind = Kind::counter;
    else if (letter_ == "s" || letter_ == "f")
      event_.kind = letter_ == "s" ? Kind::flowBegin : Kind::flowEnd;
    else
      return false;
    return true;
  }
  bool metadata() {
    const bool process = event_.name.starts_with("process_");
    if (event_.name == "process_name" || event_.name == "thread_name") {
      event_.kind = process ? Kind::processName : Kind::threadName;
      event_.name = argumentName_;
      return true;
    }
    if (event_.name != "process_sort_index" && event_.name != "thread_sort_index") return false;
    event_.kind = process ? Kind::processOrder : Kind::threadOrder;
    event_.value = order_;
    return true;
  }

  JsonScanner& in_;
  const OnTraceEvent& onEvent_;
  TraceEvent event_;
  std::string key_, letter_, text_, argumentName_;
  double order_ = 0;
  bool hasValue_ = false, hasTime_ = false;
};

/// Whether the text holds a list of events, which then comes next; ends before it.
bool findEvents(JsonScanner& in, std::string& key) {
  if (in.next() == Type::array) return true;
  if (in.next() != Type::object) return false;
  in.enter();
  while (in.key(key)) {
    if (key == "traceEvents" && in.next() == Type::array) return true;
    in.skip();
  }
  return false;
}

void readList(JsonScanner& in, const OnTraceEvent& onEvent) {
  EventReader reader(in, onEvent);
  in.enter();
  while (in.item()) {
    if (in.next() == Type::object)
      reader.read();
    else
      in.skip();
  }
}

}  // namespace

void readChromeEvents(const std::string& path, const OnTraceEvent& onEvent) {
  TraceStream stream(path, TraceStream::Characters::all);
  JsonScanner in(stream);
  std::string key;
  try {
    const bool bare = in.next() == Type::array;
    if (!findEvents(in, key))
      throw Error(ErrorKind::input, "holds no traceEvents",
                  "give a timeline that meshplan, PyTorch's profiler or Chrome wrote");
    readList(in, onEvent);
    while (!bare && in.key(key)) in.skip();
  } catch (const Error& error) {
    const bool placed = !error.file().empty();
    throw placed ? error : error.at(fmt::format("line {}", stream.lineOf(in.at()))).inFile(path);
  }
}

bool isChromeTrace(const std::string& path) {
  try {
    TraceStream stream(path);
    JsonScanner in(stream);
    std::string key;
    if (!findEvents(in, key)) return false;
    in.enter();
    return !in.item() || in.next() == Type::object;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace meshplan
