# Calls every routine of the R package many times.
#
#   memory.R growth    48 000 calls: the memory of the process must stay
#   memory.R torture   with a collection of garbage before each allocation: results must be the same
#   memory.R rounds    a few rounds, for valgrind

library(covertree)
how <- commandArgs(TRUE)[[1L]]
routine <- function(name) getNamespace("covertree")[[paste0("ctr_", name)]]

set.seed(1)
points <- matrix(runif(120), 60L)
whole <- matrix(1:120, 60L)
new <- matrix(runif(10), 5L)
y <- matrix(runif(60), 60L)
process <- list(2L, 1, c(0.3, 0.4), points[1:8, ], 1e-6, 0.1)
near <- list(0L, 0, TRUE, TRUE)
before <- list(1L, 0, TRUE, TRUE)
order <- order_maxmin(points)
sets <- ordered_neighbors(points[order, ], 5)
nearest <- knn(cover_tree(points), 5, new)$nn.index
normals <- matrix(rnorm(2L * 68L), 68L)
normals_of_new <- matrix(rnorm(2L * 13L), 13L)

# Results of one round, without pointers.
round_of_calls <- function() {
  tree <- .Call(routine("tree_build"), whole, c(2, 3))
  residual <- .Call(routine("residual_build"), points, process)
  both <- .Call(routine("residual_extend"), residual, new)
  vif <- .Call(routine("vif_build"), points, order, sets, process)
  other <- .Call(routine("vif_with_parameters"), vif, process)
  results <- list(
    .Call(routine("version")), .Call(routine("threads"), NULL), .Call(routine("threads"), 5000L),
    .Call(routine("knn"), tree, new, c(2, 3), 3, near), .Call(routine("knn"), residual, 60, NULL, 3, before),
    .Call(routine("knn"), both, 61:65, NULL, 3, before), .Call(routine("knn"), tree, new, NULL, 0, near),
    .Call(routine("radius"), tree, new, 50), .Call(routine("radius"), tree, new, -1),
    .Call(routine("tree_build"), rbind(c(1, NA)), NULL), .Call(routine("residual_build"), points[0L, ], process),
    .Call(routine("maxmin_order"), points, NULL), .Call(routine("spread_sample"), points, c(1, 2), 9, 1),
    .Call(routine("brisc"), points, sets[, -1L]),
    .Call(routine("vif_log_likelihood"), vif, y, TRUE), .Call(routine("vif_log_likelihood"), other, y, FALSE),
    .Call(routine("vif_log_likelihood"), NULL, y, FALSE), .Call(routine("vif_solve"), vif, y),
    .Call(routine("vif_predict"), vif, y, new, nearest),
    .Call(routine("vif_predict_jointly"), vif, y, new, nearest, 0.1, TRUE),
    .Call(routine("vif_draw"), vif, NULL, NULL, 0.1, normals),
    .Call(routine("vif_draw"), vif, new, nearest, 0.1, normals_of_new),
    .Call(routine("vif_build"), points, order, sets[, c(1L, 1L)], process),
    .Call(routine("is_empty"), tree), .Call(routine("free"), tree), .Call(routine("is_empty"), tree)
  )
  lapply(list(residual, both, vif, other), function(pointer) .Call(routine("free"), pointer))
  results
}

resident <- function() {
  gc()
  line <- grep("^VmRSS:", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

expected <- round_of_calls()
if (how == "torture") {
  gctorture(TRUE)
  found <- round_of_calls()
  gctorture(FALSE)
  stopifnot(identical(found, expected))
} else if (how == "rounds") {
  for (i in 1:5) stopifnot(identical(round_of_calls(), expected))
} else {
  # A leak grows in each window of 400 rounds; the allocator may take more memory in one of them.
  sizes <- vapply(1:4, function(window) {
    for (i in 1:400) round_of_calls()
    resident()
  }, 0)
  cat("megabytes after 400, 800, 1200 and 1600 rounds of 30 calls:", sprintf("%.1f", sizes), "\n")
  # A lost handle of 2 kB a round would be 0.8 MB.
  stopifnot(min(diff(sizes)) < 0.5)
}
