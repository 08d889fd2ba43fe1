// SPDX-License-Identifier: Apache-2.0
#include "profiles/kineto_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "profiles/trace_stream.h"

namespace meshplan {
namespace {

using nlohmann::json;

constexpr size_t kDeepest = 64;
constexpr size_t kLongestList = 1 << 20;

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Where an argument belongs; names differ in case between versions.
struct Field {
  std::string KinetoEvent::*text = nullptr;
  int64_t KinetoEvent::*number = nullptr;
};

const std::map<std::string, Field>& argumentFields() {
  static const std::map<std::string, Field> fields{
      {"external id", {nullptr, &KinetoEvent::externalId}},
      {"correlation", {nullptr, &KinetoEvent::correlation}},
      {"sequence number", {nullptr, &KinetoEvent::sequence}},
      {"input dims", {&KinetoEvent::dims, nullptr}},
      {"input type", {&KinetoEvent::types, nullptr}},
      {"concrete inputs", {&KinetoEvent::values, nullptr}},
      {"collective name", {&KinetoEvent::collective, nullptr}},
      {"dtype", {&KinetoEvent::dtype, nullptr}},
      {"process group name", {&KinetoEvent::group, nullptr}},
      {"process group description", {&KinetoEvent::groupDescription, nullptr}},
      {"process group ranks", {&KinetoEvent::groupRanks, nullptr}},
      {"in split size", {&KinetoEvent::inSplit, nullptr}},
      {"out split size", {&KinetoEvent::outSplit, nullptr}},
      {"in msg nelems", {nullptr, &KinetoEvent::inElements}},
      {"out msg nelems", {nullptr, &KinetoEvent::outElements}},
      {"group size", {nullptr, &KinetoEvent::groupSize}},
      {"seq", {nullptr, &KinetoEvent::order}}};
  return fields;
}

/// The library's callbacks: keeps the path of keys, one event at a time.
class Handler : public nlohmann::json_sax<json> {
 public:
  explicit Handler(const std::function<void(const KinetoEvent&)>& onEvent) : onEvent_(onEvent) {}

  KinetoHeader header;
  bool sawEvents = false;
  std::string problem;
  uint64_t problemAt = 0;

  bool null() override { return value("null", 0, false); }
  bool boolean(bool v) override { return value(v ? "true" : "false", v, false); }
  bool number_integer(number_integer_t v) override {
    return value(std::to_string(v), static_cast<double>(v), true);
  }
  bool number_unsigned(number_unsigned_t v) override {
    return value(std::to_string(v), static_cast<double>(v), true);
  }
  bool number_float(number_float_t v, const string_t& text) override {
    return value(text, v, true);
  }
  bool string(string_t& v) override {
    if (!list_.empty()) return appendToList(json(v).dump());
    return value(v, NAN, false);
  }
  bool binary(binary_t&) override { return true; }
  bool key(string_t& k) override {
    key_ = k;
    return true;
  }
  bool start_object(size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(true); }
  bool end_array() override { return close(); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    problemAt = position;
    const std::string what = e.what();
    const size_t end = what.find("] "), colon = what.find(": ");
    problem = what.substr(colon != std::string::npos ? colon + 2
                          : end == std::string::npos ? 0
                                                     : end + 2);
    return false;
  }

 private:
  struct Level {
    bool array;
    std::string key;
  };

  bool eventsAt(size_t depth) const {
    if (path_.size() < depth || depth == 0 || !path_[depth - 1].array) return false;
    return depth == 1 || (depth == 2 && path_[1].key == "traceEvents");
  }
  /// Depth of the list of events: 1 or 2; 0 outside.
  size_t eventsDepth() const { return eventsAt(1) ? 1 : eventsAt(2) ? 2 : 0; }
  bool inEvent(size_t below) const {
    const size_t depth = eventsDepth();
    return depth != 0 && path_.size() == depth + 1 + below && !path_[depth].array;
  }
  bool inArguments() const { return inEvent(1) && path_.back().key == "args"; }

  bool open(bool array) {
    if (path_.size() >= kDeepest) {
      problem = fmt::format("nested deeper than {} levels", kDeepest);
      return false;
    }
    if (!list_.empty()) {
      appendToList(array ? "[" : "{");
      ++listDepth_;
    } else if (array && inArguments()) {
      const auto field = argumentFields().find(lower(key_));
      if (field != argumentFields().end() && field->second.text) {
        listField_ = field->second.text;
        list_ = "[";
        listDepth_ = 1;
      }
    }
    path_.push_back({array, std::exchange(key_, {})});
    if (inEvent(0)) event_ = {};
    if (array && eventsDepth() == path_.size()) sawEvents = true;
    return true;
  }

  bool close() {
    const bool event = inEvent(0);
    const bool array = path_.back().array;
    path_.pop_back();
    if (!list_.empty()) {
      list_ += array ? ']' : '}';
      if (--listDepth_ == 0) event_.*listField_ = std::exchange(list_, {});
    }
    if (event) onEvent_(event_);
    if (path_.size() == 2 && path_[1].key == "deviceProperties") ++header.devices;
    return true;
  }

  bool appendToList(const std::string& text) {
    const char last = list_.back();
    if (last != '[' && last != '{') list_ += ',';
    if (list_.size() < kLongestList) list_ += text;
    return true;
  }

  bool value(const std::string& text, double number, bool isNumber) {
    if (!list_.empty()) return appendToList(text);
    if (inEvent(0))
      eventField(text, number, isNumber);
    else if (inArguments())
      argument(text, number, isNumber);
    else if (eventsDepth() == 0)
      headerField(text, number, isNumber);
    key_.clear();
    return true;
  }

  void eventField(const std::string& text, double number, bool isNumber) {
    if (key_ == "ph")
      event_.phase = text;
    else if (key_ == "cat")
      event_.category = text;
    else if (key_ == "name")
      event_.name = text;
    else if (key_ == "pid")
      event_.process = text;
    else if (key_ == "tid")
      event_.thread = text;
    else if (key_ == "ts" && isNumber)
      event_.start = number;
    else if (key_ == "dur" && isNumber)
      event_.duration = number;
  }

  static int64_t whole(double number) {
    return number >= 0 && number < 9e15 ? static_cast<int64_t>(number) : -1;
  }

  void argument(const std::string& text, double number, bool isNumber) {
    const auto field = argumentFields().find(lower(key_));
    if (field == argumentFields().end()) return;
    if (field->second.text)
      event_.*(field->second.text) = text;
    else if (isNumber)
      event_.*(field->second.number) = whole(number);
  }

  void headerField(const std::string& text, double number, bool isNumber) {
    const bool top = path_.size() == 1;
    const bool distributed = path_.size() == 2 && path_[1].key == "distributedInfo";
    const bool device =
        path_.size() == 3 && path_[1].key == "deviceProperties" && header.devices == 0;
    if (top && key_ == "host_name") header.host = text;
    if (top && key_ == "cuda_runtime_version") header.cudaVersion = text;
    if (distributed && key_ == "nccl_version") header.ncclVersion = text;
    if (distributed && isNumber && key_ == "rank") header.rank = whole(number);
    if (distributed && isNumber && key_ == "world_size") header.worldSize = whole(number);
    if (device && key_ == "name") header.device.name = text;
    if (device && isNumber && key_ == "totalGlobalMem") header.device.memory = Bytes(whole(number));
    if (device && isNumber && key_ == "numSms") header.device.multiprocessors = whole(number);
  }

  const std::function<void(const KinetoEvent&)>& onEvent_;
  std::vector<Level> path_;
  std::string key_;
  KinetoEvent event_;
  std::string list_;  // being read, as JSON; empty: none
  size_t listDepth_ = 0;
  std::string KinetoEvent::*listField_ = nullptr;
};

}  // namespace

KinetoHeader readKinetoEvents(const std::string& path,
                              const std::function<void(const KinetoEvent&)>& onEvent) {
  TraceStream buffer(path);
  std::istream stream(&buffer);
  stream.exceptions(std::ios::badbit);  // errors of the buffer come through
  Handler handler(onEvent);
  if (!json::sax_parse(stream, &handler))
    throw Error(ErrorKind::input,
                "not valid JSON: " + (handler.problem.empty() ? "it ends early" : handler.problem),
                "check that the profiler wrote the file to its end")
        .at(fmt::format("line {}", buffer.lineOf(handler.problemAt)))
        .inFile(path);
  if (!handler.sawEvents)
    throw Error(ErrorKind::input, "holds no traceEvents",
                "give a trace of torch.profiler (export_chrome_trace)")
        .inFile(path);
  return std::move(handler.header);
}

}  // namespace meshplan
