// The library from C++: handles in smart pointers, several threads on one tree, freeing in any order.
#include <covertree_partitions.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Free {
  void operator()(covertree_tree *tree) const { covertree_tree_free(tree); }
  void operator()(covertree_arrays *arrays) const { covertree_arrays_free(arrays); }
  void operator()(covertree_neighbors *neighbors) const { covertree_neighbors_free(neighbors); }
};
template <typename Handle>
using Owned = std::unique_ptr<Handle, Free>;

int failures = 0;

void expect(bool condition, const std::string &what) {
  if (!condition) {
    std::fprintf(stderr, "expected %s (last error: %s)\n", what.c_str(), covertree_last_error());
    ++failures;
  }
}

constexpr int64_t n = 800, dim = 5, k = 6;

std::vector<float> random_points(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> points(static_cast<size_t>(count * dim));
  for (float &x : points) x = normal(generator);
  return points;
}

covertree_matrix matrix(const std::vector<float> &points) {
  return covertree_matrix_f32(points.data(), static_cast<int64_t>(points.size()) / dim, dim);
}

Owned<covertree_tree> build(const std::vector<float> &points) {
  const covertree_matrix rows = matrix(points);
  covertree_tree *tree = nullptr;
  expect(covertree_tree_build(&rows, nullptr, &tree) == COVERTREE_OK, "a tree");
  return Owned<covertree_tree>(tree);
}

std::vector<int64_t> brute_force(const std::vector<float> &points, const float *query) {
  std::vector<double> squared(static_cast<size_t>(n), 0.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t d = 0; d < dim; ++d) {
      const double difference = double(points[static_cast<size_t>(i * dim + d)]) - double(query[d]);
      squared[static_cast<size_t>(i)] += difference * difference;
    }
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const double x = squared[static_cast<size_t>(a)], y = squared[static_cast<size_t>(b)];
    return x != y ? x < y : a < b;
  });
  order.resize(static_cast<size_t>(k));
  return order;
}

void threads_on_one_tree() {
  const auto points = random_points(n, 1), queries = random_points(64, 2);
  const auto tree = build(points);
  std::vector<std::vector<int64_t>> results(4, std::vector<int64_t>(64 * k));
  std::vector<std::thread> threads;
  const covertree_matrix rows = matrix(queries);
  for (auto &result : results)
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 5; ++repeat)
        covertree_tree_knn(tree.get(), &rows, k, nullptr, result.data(), nullptr);
    });
  for (auto &thread : threads) thread.join();
  for (const auto &result : results) expect(result == results[0], "the same answer in every thread");
  for (int64_t q = 0; q < 64; ++q) {
    const auto wanted = brute_force(points, queries.data() + q * dim);
    expect(std::equal(wanted.begin(), wanted.end(), results[0].begin() + q * k), "the brute force's answer");
  }
}

void freeing_in_any_order() {
  const auto points = random_points(n, 3);
  auto tree = build(points);
  covertree_arrays *exported = nullptr;
  covertree_neighbors *found = nullptr;
  expect(covertree_tree_export(tree.get(), nullptr, &exported) == COVERTREE_OK, "arrays");
  const covertree_matrix all = covertree_matrix_i64(nullptr, n);
  expect(covertree_tree_radius(tree.get(), &all, 1.5, nullptr, &found) == COVERTREE_OK, "neighbours");
  Owned<covertree_arrays> arrays(exported);
  Owned<covertree_neighbors> neighbors(found);
  tree.reset();
  covertree_arrays_view view;
  expect(covertree_arrays_get(arrays.get(), &view) == COVERTREE_OK, "arrays without their tree");
  expect(std::all_of(view.parents + 1, view.parents + n, [](int32_t parent) { return parent >= 0; }), "one root");
  covertree_neighbors_view lists;
  expect(covertree_neighbors_get(neighbors.get(), &lists) == COVERTREE_OK, "neighbours without their tree");
  expect(lists.n_queries == n && lists.indices[lists.offsets[n - 1]] == n - 1, "each point its own nearest");
}

void errors_belong_to_their_thread() {
  expect(covertree_tree_validate(nullptr, nullptr) == COVERTREE_INVALID_ARGUMENT, "an error");
  const std::string mine = covertree_last_error();
  std::thread([] {
    expect(std::string(covertree_last_error()).empty(), "no error in a new thread");
    covertree_set_num_threads(-7);
  }).join();
  expect(mine == covertree_last_error(), "the error of this thread");
}

}  // namespace

int main() {
  threads_on_one_tree();
  freeing_in_any_order();
  errors_belong_to_their_thread();
  std::printf("C++: %s\n", failures == 0 ? "passed" : "FAILED");
  return failures != 0;
}
