// Single-linkage clusters, from C++: points that are closer than a radius are in one cluster.
//   c++ -std=c++17 clusters.cpp $(pkg-config --cflags --libs covertree)
#include <covertree.h>

#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>
#include <set>
#include <stdexcept>
#include <vector>

static void check(covertree_status status) {
  if (status != COVERTREE_OK) throw std::runtime_error(covertree_last_error());
}

int main() {
  // Five clouds on a circle.
  std::mt19937 generator(1);
  std::normal_distribution<float> noise(0.0f, 0.1f);
  std::vector<float> points;
  for (int i = 0; i < 5000; ++i) {
    const double angle = 6.283185307 * (i % 5) / 5;
    points.push_back(static_cast<float>(3 * std::cos(angle)) + noise(generator));
    points.push_back(static_cast<float>(3 * std::sin(angle)) + noise(generator));
  }
  const auto n = static_cast<int64_t>(points.size() / 2);

  covertree_tree *tree = nullptr;
  covertree_neighbors *neighbors = nullptr;
  covertree_neighbors_view lists;
  const covertree_matrix matrix = covertree_matrix_f32(points.data(), n, 2);
  const covertree_matrix queries = covertree_matrix_i64(nullptr, n);  // all points of the tree
  check(covertree_tree_build(&matrix, nullptr, &tree));
  check(covertree_tree_radius(tree, &queries, 0.3, nullptr, &neighbors));
  check(covertree_neighbors_get(neighbors, &lists));

  // Union-find over the pairs.
  std::vector<int64_t> leader(points.size() / 2);
  std::iota(leader.begin(), leader.end(), 0);
  const auto find = [&](int64_t i) {
    while (leader[i] != i) i = leader[i] = leader[leader[i]];
    return i;
  };
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = lists.offsets[i]; j < lists.offsets[i + 1]; ++j) leader[find(i)] = find(lists.indices[j]);
  std::set<int64_t> clusters;
  for (int64_t i = 0; i < n; ++i) clusters.insert(find(i));
  std::printf("%lld points, %lld pairs within 0.3, %zu clusters\n", static_cast<long long>(n),
              static_cast<long long>((lists.n_neighbors - n) / 2), clusters.size());
  covertree_neighbors_free(neighbors);
  covertree_tree_free(tree);
  return clusters.size() == 5 ? 0 : 1;
}
