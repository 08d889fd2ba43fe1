// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <sstream>
#include <vector>

#include "core/error.h"
#include "profiles/cluster_import.h"

namespace meshplan {
namespace {

constexpr size_t kMostDevices = 1024;
constexpr const char* kWhole = "give the whole text of nvidia-smi topo -m";

[[noreturn]] void fail(const std::string& place, const std::string& problem,
                       const std::string& remedy) {
  throw Error(ErrorKind::input, problem, remedy).at(place);
}

std::string withoutColours(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b' && i + 1 < text.size() && text[i + 1] == '[') {
      i += 2;
      while (i < text.size() && (text[i] < '@' || text[i] > '~')) ++i;
      continue;
    }
    if (text[i] != '\r') out += text[i];
  }
  return out;
}

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> out;
  for (std::string w; in >> w;) out.push_back(w);
  return out;
}

bool isGpu(const std::string& w) {
  return w.size() > 3 && w.starts_with("GPU") &&
         std::all_of(w.begin() + 3, w.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool isAdapter(const std::string& w) {
  return w.starts_with("NIC") || w.starts_with("mlx");
}

// How far apart two entries are: under one PCIe switch, under one socket, or in different ones.
enum class Distance { same, pcieSwitch, socket, machine };

struct Cell {
  Distance distance = Distance::machine;
  uint32_t nvlinks = 0;
};

Cell parseCell(const std::string& w, const std::string& place) {
  if (w == "X") return {Distance::same, 0};
  if (w == "PIX" || w == "PXB") return {Distance::pcieSwitch, 0};
  if (w == "PHB" || w == "NODE") return {Distance::socket, 0};
  if (w == "SYS" || w == "SOC") return {Distance::machine, 0};
  uint32_t links = 0;
  if (w.starts_with("NV")) {
    const auto [end, error] = std::from_chars(w.data() + 2, w.data() + w.size(), links);
    if (error == std::errc() && end == w.data() + w.size() && links > 0 && links <= 1024)
      return {Distance::machine, links};
  }
  fail(place, fmt::format("'{}' is not a kind of connection", w.substr(0, 20)), kWhole);
}

struct Matrix {
  std::vector<std::string> columns;
  size_t devices = 0;
  std::vector<std::vector<Cell>> rows;  // of devices and adapters, in the order of the columns
  std::string deviceName;
};

std::string nameIn(const std::string& line) {
  // "GPU 0: NVIDIA A100-SXM4-80GB (UUID: ...)", or a line of csv with just the name first.
  std::string name;
  if (line.starts_with("GPU ")) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) return {};
    name = line.substr(colon + 2, line.find(" (") - colon - 2);
  } else {
    name = line.substr(0, line.find(','));
  }
  for (const char* brand : {"NVIDIA ", "Tesla ", "GeForce "})
    if (name.starts_with(brand)) name.erase(0, std::string_view(brand).size());
  return name;
}

class MatrixReader {
 public:
  explicit MatrixReader(const Catalog& catalog) : catalog_(catalog) {}

  Matrix read(const std::string& text) {
    std::istringstream in(withoutColours(text));
    size_t number = 0;
    for (std::string line; std::getline(in, line);) {
      place_ = fmt::format("line {}", ++number);
      const std::vector<std::string> w = words(line);
      if (w.empty()) continue;
      m_.columns.empty() ? readBefore(line, w) : readRow(w);
    }
    check();
    return std::move(m_);
  }

 private:
  void readBefore(const std::string& line, const std::vector<std::string>& w) {
    if (isGpu(w[0]) && (w.size() < 2 || w[1] != "X")) {
      for (const std::string& c : w)
        if (isGpu(c) || isAdapter(c)) m_.columns.push_back(c);
      m_.devices = size_t(std::count_if(m_.columns.begin(), m_.columns.end(), isGpu));
      if (m_.columns.size() > kMostDevices) fail(place_, "too many devices", "give one node");
    } else if (m_.deviceName.empty() && catalog_.isDevice(nameIn(line))) {
      m_.deviceName = nameIn(line);
    }
  }

  void readRow(const std::vector<std::string>& w) {
    if (m_.rows.size() == m_.columns.size() || w[0] != m_.columns[m_.rows.size()]) {
      if (isGpu(w[0]) || isAdapter(w[0]))
        fail(place_, fmt::format("row {} is out of place", w[0].substr(0, 20)), kWhole);
      return;
    }
    if (w.size() <= m_.columns.size())
      fail(place_, fmt::format("row {} is cut short", w[0].substr(0, 20)), kWhole);
    std::vector<Cell>& row = m_.rows.emplace_back();
    for (size_t i = 0; i < m_.columns.size(); ++i) row.push_back(parseCell(w[i + 1], place_));
  }

  void check() const {
    if (m_.rows.size() < m_.devices)
      fail("",
           fmt::format("{} of {} device rows are missing", m_.devices - m_.rows.size(), m_.devices),
           kWhole);
    for (size_t i = 0; i < m_.devices; ++i)
      for (size_t j = 0; j < i; ++j)
        if (m_.rows[i][j].nvlinks != m_.rows[j][i].nvlinks)
          fail("", fmt::format("GPU{} and GPU{} disagree on their NVLinks", j, i), kWhole);
  }

  const Catalog& catalog_;
  Matrix m_;
  std::string place_;
};

struct Generation {
  std::string_view architecture, direct, hub;
};

const Generation& generation(std::string_view architecture) {
  static constexpr Generation kGenerations[] = {
      {"pascal", "nvlink1", "nvswitch1"}, {"volta", "nvlink2", "nvswitch1"},
      {"turing", "nvlink2", "nvswitch1"}, {"ampere", "nvlink3", "nvswitch2"},
      {"hopper", "nvlink4", "nvswitch3"}, {"", "nvlink4", "nvswitch4"}};
  for (const Generation& g : kGenerations)
    if (g.architecture == architecture) return g;
  return std::end(kGenerations)[-1];
}

class Builder {
 public:
  Builder(const Catalog& catalog, const Matrix& m, const std::string& device)
      : m_(m), server_(catalog.nodeOf(device)), catalog_(catalog) {}

  Cluster build() {
    node_ = c_.addNode("node0");
    const uint32_t spec = c_.addSpec(server_.device);
    for (size_t i = 0; i < m_.devices; ++i)
      vertices_.push_back(c_.vertex(c_.addDevice(spec, node_)));
    addNvlinks();
    addTree();
    c_.multicast = server_.multicast && switched_;
    c_.pricePerHour = server_.device.pricePerHour * double(m_.devices);
    c_.validate();
    return std::move(c_);
  }

 private:
  bool allPairsEqual() const {
    for (size_t i = 0; i < m_.devices; ++i)
      for (size_t j = 0; j < m_.devices; ++j)
        if (i != j && m_.rows[i][j].nvlinks != m_.rows[0][1].nvlinks) return false;
    return m_.devices > 2 && m_.rows[0][1].nvlinks > 0;
  }

  // More links per pair than a device could spread over all others: they lead to a switch.
  void addNvlinks() {
    switched_ = allPairsEqual() && m_.rows[0][1].nvlinks >= 4;
    const Generation& names = generation(server_.device.architecture);
    if (switched_) {
      const uint32_t link = c_.addLinkSpec(catalog_.link(names.hub));
      const uint32_t hub = c_.addSwitch("nvswitch", node_);
      for (uint32_t v : vertices_) c_.addLink(v, hub, link, m_.rows[0][1].nvlinks);
      return;
    }
    std::optional<uint32_t> link;
    for (size_t i = 0; i < m_.devices; ++i)
      for (size_t j = i + 1; j < m_.devices; ++j)
        if (const uint32_t width = m_.rows[i][j].nvlinks) {
          if (!link) link = c_.addLinkSpec(catalog_.link(names.direct));
          c_.addLink(vertices_[i], vertices_[j], *link, width);
        }
  }

  // NV# hides how far two devices are apart on PCIe; an adapter beside both tells.
  Distance distance(size_t i, size_t j) const {
    Distance d = m_.rows[i][j].distance;
    if (m_.rows[i][j].nvlinks == 0) return d;
    for (size_t k = m_.devices; k < m_.columns.size(); ++k)
      d = std::min(d, std::max(m_.rows[i][k].distance, m_.rows[j][k].distance));
    return d;
  }

  // Entries within `limit` of each other form one part; the parts' numbers by entry.
  std::vector<size_t> parts(Distance limit, size_t& count) const {
    std::vector<size_t> part(m_.columns.size(), SIZE_MAX);
    count = 0;
    for (size_t i = 0; i < m_.rows.size(); ++i) {
      if (part[i] == SIZE_MAX) part[i] = count++;
      for (size_t j = i + 1; j < m_.columns.size(); ++j)
        if (part[j] == SIZE_MAX && distance(i, j) <= limit) part[j] = part[i];
    }
    for (size_t& p : part)
      if (p == SIZE_MAX) p = count++;
    return part;
  }

  void addTree() {
    const uint32_t pcie = c_.addLinkSpec(server_.pcie);
    size_t sockets = 0, switches = 0;
    const std::vector<size_t> socketOf = parts(Distance::socket, sockets);
    const std::vector<size_t> switchOf = parts(Distance::pcieSwitch, switches);
    std::vector<uint32_t> socketVertices, switchVertices(switches, UINT32_MAX);
    for (size_t s = 0; s < sockets; ++s)
      socketVertices.push_back(c_.addSwitch(fmt::format("socket{}", s), node_));
    if (sockets > 1) {
      const NodeTemplate& n = server_;
      const uint32_t between =
          c_.addLinkSpec(n.socketLink.bandwidth.value > 0 ? n.socketLink : catalog_.link("upi"));
      for (size_t s = 1; s < sockets; ++s)
        c_.addLink(socketVertices[0], socketVertices[s], between);
    }
    for (size_t i = 0; i < m_.columns.size(); ++i) {
      uint32_t& hub = switchVertices[switchOf[i]];
      if (hub == UINT32_MAX) {
        hub = c_.addSwitch(fmt::format("pcie{}", switchOf[i]), node_);
        c_.addLink(hub, socketVertices[socketOf[i]], pcie);
      }
      const uint32_t v = i < m_.devices ? vertices_[i] : c_.addSwitch(m_.columns[i], node_);
      c_.addLink(v, hub, pcie);
    }
  }

  const Matrix& m_;
  NodeTemplate server_;
  const Catalog& catalog_;
  Cluster c_;
  NodeId node_;
  std::vector<uint32_t> vertices_;
  bool switched_ = false;
};

}  // namespace

bool isTopology(const std::string& text) {
  std::istringstream in(withoutColours(text.substr(0, 1 << 20)));
  for (std::string line; std::getline(in, line);)
    if (const std::vector<std::string> w = words(line); w.size() > 1 && isGpu(w[0]) && w[1] == "X")
      return true;
  return false;
}

Cluster clusterFromTopology(const Catalog& catalog, const std::string& text,
                            const std::string& device) {
  const Matrix m = MatrixReader(catalog).read(text);
  const std::string& name = device.empty() ? m.deviceName : device;
  if (name.empty())
    throw Error(ErrorKind::usage, "the kind of device is not known",
                "give --device, or put the output of nvidia-smi -L before the matrix");
  return Builder(catalog, m, catalog.device(name).name).build();
}

}  // namespace meshplan
