points <- uniform(400, 3)
tree <- cover_tree(points)
between <- distances_between(points, points)

nearest <- function(distances, k) {
  index <- t(apply(distances, 1L, function(row) order(row)[seq_len(k)]))
  list(nn.index = index, nn.dist = matrix(distances[cbind(c(row(index)), c(index))], nrow(index)))
}

test_that("knn finds the nearest points of new ones", {
  queries <- uniform(50, 3, 2)
  expect_equal(knn(tree, 5, queries), nearest(distances_between(queries, points), 5))
})

test_that("knn finds the nearest of the tree's own points, with themselves or without", {
  expect_equal(knn(tree, 4), nearest(between, 4))
  others <- between
  diag(others) <- Inf
  expect_equal(knn(tree, 4, exclude_self = TRUE), nearest(others, 4))
  before <- nearest_before(between, 4)[, -1L]
  expect_identical(knn(tree, 4, predecessors = TRUE)$nn.index, before)
})

test_that("missing neighbours are NA, at an infinite distance", {
  small <- cover_tree(c(0, 1, 5))
  found <- knn(small, 4, max_distance = 1)
  expect_identical(found$nn.index, rbind(c(1L, 2L, NA, NA), c(2L, 1L, NA, NA), c(3L, NA, NA, NA)))
  expect_identical(found$nn.dist, rbind(c(0, 1, Inf, Inf), c(0, 1, Inf, Inf), c(0, Inf, Inf, Inf)))
})

test_that("radius finds all points within a distance, which is included", {
  found <- radius(tree, 0.2)
  for (i in c(1L, 17L, 400L)) {
    inside <- order(between[i, ])[seq_len(sum(between[i, ] <= 0.2))]
    expect_identical(found$nn.index[[i]], inside)
    expect_equal(found$nn.dist[[i]], between[i, inside])
  }
  expect_identical(radius(cover_tree(c(0, 1, 5)), 1, 6)$nn.index, list(3L))
  expect_identical(lengths(radius(tree, 0, uniform(2, 3, 9))$nn.index), c(0L, 0L))
})

test_that("a tree prints its size", {
  expect_output(print(tree), "<cover_tree of 400 points in 3 dimensions>", fixed = TRUE)
})

test_that("a tree from a file is refused", {
  path <- tempfile(fileext = ".rds")
  saveRDS(tree, path)
  expect_wrong(knn(readRDS(path), 1), "tree", "expected a result of cover_tree() of this session")
})

test_that("results are the same with one thread", {
  before <- covertree_threads(1)
  on.exit(covertree_threads(before))
  expect_identical(covertree_threads(), 1L)
  one <- knn(tree, 5)
  covertree_threads(2)
  expect_identical(knn(tree, 5), one)
})

test_that("the library has a version", {
  expect_match(covertree_version(), "^[0-9]+\\.[0-9]+\\.[0-9]+$")
})

test_that("a matrix is copied once, to transpose it", {
  points <- uniform(10000, 50)
  megabytes <- 10000 * 50 * 8 / 2^20
  gc(reset = TRUE)
  before <- sum(gc()[, 6L])
  gc(reset = TRUE)
  tree <- cover_tree(points)
  peak <- sum(gc()[, 6L]) - before
  expect_gt(peak, 0.9 * megabytes)
  expect_lt(peak, 1.5 * megabytes)
})
