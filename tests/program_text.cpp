// SPDX-License-Identifier: Apache-2.0
#include "tests/program_text.h"

#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

namespace meshplan {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

Stream parseStream(const std::string& name) {
  for (int s = 0; s < kStreams; ++s)
    if (streamName(Stream(s)) == name) return Stream(s);
  throw std::invalid_argument("no stream " + name);
}

MemoryCategory parseCategory(const std::string& name) {
  for (int c = 0; c < kMemoryCategories; ++c)
    if (memoryCategoryName(MemoryCategory(c)) == name) return MemoryCategory(c);
  throw std::invalid_argument("no memory category " + name);
}

// NAME=BYTES[:CATEGORY][:saved]
Buffer parseBuffer(const std::string& text) {
  const std::vector<std::string> parts = split(text, ':'), head = split(parts.at(0), '=');
  Buffer buffer;
  buffer.name = head.at(0);
  buffer.bytes = Bytes(std::stoll(head.at(1)));
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i] == "saved")
      buffer.scope = Buffer::Scope::microBatch;
    else
      buffer.category = parseCategory(parts[i]);
  }
  return buffer;
}

class Parser {
 public:
  ProgramText run(std::string_view text) {
    for (std::string line : split(std::string(text), '\n')) {
      line = line.substr(0, line.find('#'));
      if (words(line).empty()) continue;
      const size_t colon = line.find(": ");
      const std::vector<std::string> head = words(line.substr(0, colon));
      const std::string body = colon == std::string::npos ? "" : line.substr(colon + 2);
      if (head.at(0) == "routine")
        routine(head, body);
      else if (head.at(0) == "stage")
        stage(head, body);
      else
        throw std::invalid_argument("cannot read: " + line);
    }
    out_.program.work.resize(1);
    out_.program.mesh.pipeline = int64_t(out_.program.rankClasses.size());
    return std::move(out_);
  }

 private:
  void routine(const std::vector<std::string>& head, const std::string& body) {
    Routine r;
    r.kind = head.at(2) == "forward"    ? Routine::Kind::forward
             : head.at(2) == "backward" ? Routine::Kind::backward
                                        : Routine::Kind::update;
    r.chunk = std::stoi(head.at(3));
    r.lastMicroBatch = head.size() > 4;
    r.buffers = saved_[r.chunk];
    if (r.kind == Routine::Kind::update) r.buffers.clear();
    names_.clear();
    for (BufferIndex b = 0; b < r.buffers.size(); ++b) names_[r.buffers[b].name] = b;
    std::vector<Seconds> times;
    for (const std::string& text : split(body, ';'))
      if (!words(text).empty()) r.instructions.push_back(instruction(words(text), r, times));
    if (r.kind == Routine::Kind::forward) saved_[r.chunk] = r.buffers;
    routines_[head.at(1)] = uint32_t(out_.program.routines.size());
    out_.program.routines.push_back(std::move(r));
    out_.times.push_back(std::move(times));
  }

  Instruction instruction(const std::vector<std::string>& w, Routine& r,
                          std::vector<Seconds>& times) {
    Instruction in;
    in.stream = parseStream(w.at(0));
    in.kind =
        in.stream == Stream::compute ? Instruction::Kind::compute : Instruction::Kind::collective;
    if (in.stream == Stream::tensor) in.axes = MeshAxis::tensor;
    if (in.stream == Stream::expert) in.axes = MeshAxis::expert;
    if (in.stream == Stream::data) in.axes = MeshAxis::data;
    if (in.kind == Instruction::Kind::collective) in.collective = CollectiveKind::allReduce;
    times.push_back(Seconds(std::stod(w.at(1))));
    for (size_t i = 2; i < w.size(); ++i) {
      if (w[i] == "recomputed")
        in.recomputed = true;
      else if (w[i] == "reverse")
        in.backwardDirection = true;
      else
        option(w[i], w.at(i + 1), in, r), ++i;
    }
    return in;
  }

  void option(const std::string& key, const std::string& value, Instruction& in, Routine& r) {
    if (key == "after")
      for (const std::string& n : split(value, ',')) in.waits.push_back(uint32_t(std::stoul(n)));
    else if (key == "drain")
      for (const std::string& n : split(value, ','))
        in.drains |= uint8_t(1u << int(parseStream(n)));
    else if (key == "from" || key == "to") {
      in.kind = key == "from" ? Instruction::Kind::receive : Instruction::Kind::send;
      in.collective = CollectiveKind::sendReceive;
      in.axes = MeshAxis::pipeline;
      in.peerStage = std::stoi(value);
    } else if (key == "pipeline") {
      in.axes = in.axes | MeshAxis::pipeline;
      in.boundary = std::stoi(value);
    } else if (key == "boundary")
      in.boundary = std::stoi(value);
    else if (key == "bytes")
      in.bytes = Bytes(std::stoll(value));
    else if (key == "alloc") {
      const Buffer buffer = parseBuffer(value);
      names_[buffer.name] = BufferIndex(r.buffers.size());
      in.allocates.push_back(BufferIndex(r.buffers.size()));
      in.writes.push_back(BufferIndex(r.buffers.size()));
      r.buffers.push_back(buffer);
    } else if (key == "free")
      in.frees.push_back(names_.at(value));
    else if (key == "read")
      in.reads.push_back(names_.at(value));
    else if (key == "write")
      in.writes.push_back(names_.at(value));
    else
      throw std::invalid_argument("no option " + key);
  }

  void stage(const std::vector<std::string>& head, const std::string& body) {
    RankClass rankClass;
    rankClass.stage = std::stoi(head.at(1));
    for (size_t i = 2; i < head.size(); ++i) {
      if (head[i][0] == 'x') rankClass.ranks = std::stoll(head[i].substr(1));
      if (head[i] == "resident") {
        rankClass.residents.push_back(parseBuffer(head.at(i + 1)));
        rankClass.residents.back().scope = Buffer::Scope::step;
      }
    }
    for (const std::string& word : words(body)) {
      const std::vector<std::string> parts = split(word, '@');
      const int32_t microBatch = parts.size() > 1 ? std::stoi(parts[1]) : 0;
      rankClass.calls.push_back({routines_.at(parts[0]), microBatch});
      out_.program.microBatches =
          std::max<int64_t>(out_.program.microBatches, int64_t(microBatch) + 1);
    }
    out_.program.rankClasses.push_back(std::move(rankClass));
  }

  ProgramText out_;
  std::map<std::string, uint32_t> routines_;
  std::map<std::string, BufferIndex> names_;
  std::map<int32_t, std::vector<Buffer>> saved_;
};

}  // namespace

ProgramText parseProgram(std::string_view text) {
  return Parser().run(text);
}

}  // namespace meshplan
