// SPDX-License-Identifier: Apache-2.0
#include "core/route.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/dijkstra_shortest_paths.hpp>
#include <boost/property_map/function_property_map.hpp>
#include <functional>
#include <limits>
#include <tuple>
#include <utility>

namespace meshplan {
namespace {

using Graph =
    boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS, boost::no_property,
                          size_t>;              // the edge's index
using Distance = std::tuple<int, double, int>;  // ends at devices, latency, links
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Distance kUnreached{std::numeric_limits<int>::max(), kInfinity, 0};

// Only the vertices that the edges touch, numbered densely: a route sees a small part of a large
// cluster.
class Part {
 public:
  explicit Part(const std::vector<RouteEdge>& edges) : edges_(edges) {
    for (const RouteEdge& e : edges) vertices_.insert(vertices_.end(), {e.a, e.b});
    std::sort(vertices_.begin(), vertices_.end());
    vertices_.erase(std::unique(vertices_.begin(), vertices_.end()), vertices_.end());
  }
  bool has(uint32_t v) const { return std::binary_search(vertices_.begin(), vertices_.end(), v); }
  size_t local(uint32_t v) const {
    return size_t(std::lower_bound(vertices_.begin(), vertices_.end(), v) - vertices_.begin());
  }
  Graph atLeast(double bandwidth) const {
    Graph g(vertices_.size());
    for (size_t i = 0; i < edges_.size(); ++i)
      if (edges_[i].bandwidth >= bandwidth)
        boost::add_edge(local(edges_[i].a), local(edges_[i].b), i, g);
    return g;
  }

 private:
  const std::vector<RouteEdge>& edges_;
  std::vector<uint32_t> vertices_;
};

template <class Weight, class D, class Compare, class Combine>
std::vector<D> search(const Graph& g, size_t from, Weight weight, Compare compare, Combine combine,
                      D unreached, D start) {
  std::vector<D> distance(boost::num_vertices(g));
  boost::dijkstra_shortest_paths(
      g, from,
      boost::weight_map(boost::make_function_property_map<Graph::edge_descriptor>(weight))
          .distance_map(boost::make_iterator_property_map(distance.begin(),
                                                          boost::get(boost::vertex_index, g)))
          .distance_compare(compare)
          .distance_combine(combine)
          .distance_inf(unreached)
          .distance_zero(start));
  return distance;
}

double widest(const Graph& g, const std::vector<RouteEdge>& edges, size_t from, size_t to) {
  const auto weight = [&](Graph::edge_descriptor e) { return edges[g[e]].bandwidth; };
  const auto narrower = [](double a, double b) { return std::min(a, b); };
  return search(g, from, weight, std::greater<double>(), narrower, 0.0, kInfinity)[to];
}

Distance length(const RouteEdge& e) {
  return {e.devices, e.latency, 1};
}

Distance plus(const Distance& a, const Distance& b) {
  if (a == kUnreached) return a;
  const auto [devices, latency, links] = a;
  return {devices + std::get<0>(b), latency + std::get<1>(b), links + std::get<2>(b)};
}

std::vector<Distance> nearest(const Graph& g, const std::vector<RouteEdge>& edges, size_t to) {
  const auto weight = [&](Graph::edge_descriptor e) { return length(edges[g[e]]); };
  return search(g, to, weight, std::less<Distance>(), plus, kUnreached, Distance{0, 0, 0});
}

std::vector<LinkId> follow(const Graph& g, const std::vector<RouteEdge>& edges,
                           const std::vector<Distance>& toTarget, size_t from, size_t choice) {
  std::vector<LinkId> path;
  for (size_t v = from; std::get<2>(toTarget[v]) > 0;) {
    std::vector<std::pair<size_t, size_t>> next;  // edge, vertex
    for (auto [e, end] = boost::out_edges(v, g); e != end; ++e) {
      const size_t u = boost::target(*e, g);
      if (plus(toTarget[u], length(edges[g[*e]])) == toTarget[v]) next.push_back({g[*e], u});
    }
    std::sort(next.begin(), next.end());
    const auto [edge, vertex] = next[choice % next.size()];
    path.push_back(edges[edge].link);
    v = vertex;
  }
  return path;
}

}  // namespace

std::vector<LinkId> widestRoute(const std::vector<RouteEdge>& edges, uint32_t from, uint32_t to,
                                size_t choice) {
  const Part part(edges);
  if (!part.has(from) || !part.has(to)) return {};
  const size_t a = part.local(from), b = part.local(to);
  const double width = widest(part.atLeast(0), edges, a, b);
  if (!(width > 0)) return {};
  const Graph g = part.atLeast(width);
  return follow(g, edges, nearest(g, edges, b), a, choice);
}

}  // namespace meshplan
