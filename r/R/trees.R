# Exact searches among points in space.

cover_tree <- function(points) {
  points <- as_points(points, "points")
  tree <- result_of(.Call(ctr_tree_build, points, NULL))
  structure(list(pointer = tree, n = nrow(points), dim = ncol(points)), class = "cover_tree")
}

print.cover_tree <- function(x, ...) {
  cat(sprintf("<cover_tree of %d points in %d dimensions>\n", x$n, x$dim))
  invisible(x)
}

knn <- function(tree, k, queries = NULL, predecessors = FALSE, exclude_self = FALSE, max_distance = Inf) {
  tree <- as_tree(tree)
  k <- as_count(k, "k", minimum = 1)
  flags <- if (as_flag(predecessors, "predecessors")) PREDECESSORS else 0L
  if (as_flag(exclude_self, "exclude_self")) flags <- flags + EXCLUDE_SELF
  if (flags && !is.null(queries)) {
    name <- if (predecessors) "predecessors" else "exclude_self"
    raise(sprintf("%s: expected FALSE for queries that are new points, got TRUE", name))
  }
  max_distance <- as_radius(max_distance, "max_distance")
  if (max_distance < Inf) flags <- flags + MAX_DISTANCE else max_distance <- 0
  search_knn(tree$pointer, as_queries(queries, tree), k, flags, max_distance, distances = TRUE)
}

radius <- function(tree, r, queries = NULL) {
  tree <- as_tree(tree)
  r <- as_radius(r, "r")
  result_of(.Call(ctr_radius, tree$pointer, as_queries(queries, tree), r))
}

as_tree <- function(x) {
  if (!inherits(x, "cover_tree") || .Call(ctr_is_empty, x$pointer)) {
    raise("tree: expected a result of cover_tree() of this session, got another object")
  }
  x
}

as_queries <- function(queries, tree) {
  if (is.null(queries)) as.double(tree$n) else as_points(queries, "queries", tree$dim)
}

as_radius <- function(x, name) {
  if (!is.numeric(x) || length(x) != 1L || !isTRUE(x >= 0)) {
    raise(sprintf("%s: expected a number from 0 up, got %s", name, described(x)))
  }
  as.double(x)
}
