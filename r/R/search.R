# Searches, for the functions of the package.

PREDECESSORS <- 1L
EXCLUDE_SELF <- 2L
MAX_DISTANCE <- 4L

# The k nearest points. Queries are a matrix of new points, integers, which are rows of the tree's points, or a double, the
# number of points, for all of them.
search_knn <- function(tree, queries, k, flags = 0L, max_distance = 0, distances = FALSE, own = FALSE,
                       scale = NULL, names = character()) {
  search <- list(flags, as.double(max_distance), distances, own)
  result_of(.Call(ctr_knn, tree, queries, scale, as.double(k), search), names)
}

# NNarray: for each point the row numbers of itself and of its k nearest predecessors. Builds the tree if it needs it, and frees it.
predecessors <- function(tree, n, k) {
  if (min(k, n - 1L) == 0L) return(matrix(seq_len(n), n, 1L))
  force(tree)
  on.exit(.Call(ctr_free, tree))
  search_knn(tree, as.double(n), min(k, n - 1L), PREDECESSORS, own = TRUE, names = c(k = "m"))
}

residual_tree <- function(points, process, name = "locs") {
  names <- c(points = name, lengthscale = "covparms", variance = "covparms")
  result_of(.Call(ctr_residual_build, points, process), names)
}

space_tree <- function(points, scale = NULL, name = "locs") {
  result_of(.Call(ctr_tree_build, points, scale), c(points = name))
}

maxmin <- function(points, scale) {
  result_of(.Call(ctr_maxmin_order, points, scale), c(points = "locs"))
}

# Points that are spread like the data, as a matrix.
inducing_points <- function(points, scale, count, seed) {
  if (count == 0L) return(points[0L, , drop = FALSE])
  rows <- result_of(.Call(ctr_spread_sample, points, as.double(scale), as.double(count), as.double(seed)),
                    c(points = "locs", n_sample = "n_inducing"))
  points[rows, , drop = FALSE]
}
