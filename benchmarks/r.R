# Compares the R package with FNN, with RANN and, if it is installed, with GpGp.
#
#   r.R            writes r.md
#   r.R --quick    smaller, writes nothing
#
# Seconds are of the clock. Brackets have the seconds of all threads of the process, which other loads of the machine change less.
# FNN, RANN and GpGp use one thread.

library(covertree)

quick <- "--quick" %in% commandArgs(TRUE)
folder <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
TURNS <- 3L

# Medians of the clock and of the processor, and the last result.
timed <- function(call, turns = TURNS) {
  took <- replicate(turns, {
    used <- system.time(result <<- call())
    c(used[["elapsed"]], used[["user.self"]] + used[["sys.self"]])
  })
  list(seconds = apply(took, 1L, stats::median), result = result)
}

result <- NULL
has <- function(package) requireNamespace(package, quietly = TRUE)

# The nearest predecessors by searches of FNN, as GpGp finds them: rows that have found too few search again for twice as many.
doubling_search <- function(locs, m) {
  n <- nrow(locs)
  found <- matrix(NA_integer_, n, m)
  distance <- matrix(Inf, n, m)
  pending <- 2:n
  k <- m
  while (length(pending)) {
    last <- pending[[length(pending)]]
    k <- min(2L * k, last)
    near <- FNN::get.knnx(locs[seq_len(last), , drop = FALSE], locs[pending, , drop = FALSE], k)
    count <- integer(length(pending))
    for (j in seq_len(k)) {
      rows <- which(near$nn.index[, j] < pending & count < m)
      count[rows] <- count[rows] + 1L
      found[cbind(pending[rows], count[rows])] <- near$nn.index[rows, j]
      distance[cbind(pending[rows], count[rows])] <- near$nn.dist[rows, j]
    }
    pending <- pending[count < pmin(m, pending - 1L)]
  }
  list(found = found, distance = distance)
}

distances_of <- function(locs, sets) {
  squares <- 0
  for (j in seq_len(ncol(locs))) squares <- squares + (locs[c(sets), j] - locs[c(row(sets)), j])^2
  matrix(sqrt(ifelse(is.na(squares), Inf, squares)), nrow(sets))
}

uniform <- function(n, dim) {
  set.seed(1)
  matrix(runif(n * dim), n)
}

lines <- character()
add <- function(workload, contender, seconds, note) {
  figures <- sprintf("%.2f (%.2f)", seconds[[1L]], seconds[[2L]])
  line <- sprintf("| %s | %s | %s | %s |", workload, contender, figures, note)
  lines <<- c(lines, line)
  cat(line, "\n")
}
times <- function(theirs, ours) sprintf("%.1f times", theirs[[1L]] / ours[[1L]])

n <- if (quick) 10000L else 100000L
locs <- uniform(n, 2L)
workload <- sprintf("30 nearest predecessors of %d x 2", n)
ours <- timed(function() ordered_neighbors(locs, 30))
add(workload, "covertree", ours$seconds, "1.0 times")
if (has("FNN")) {
  theirs <- timed(function() doubling_search(locs, 30L), 1L)
  difference <- theirs$result$distance - distances_of(locs, ours$result[, -1L])
  same <- max(abs(difference[is.finite(difference)]))
  note <- sprintf("%s; distances differ by at most %.0e", times(theirs$seconds, ours$seconds), same)
  add(workload, "FNN, doubling search", theirs$seconds, note)
}
if (has("GpGp")) {
  theirs <- timed(function() GpGp::find_ordered_nn(locs, 30), 1L)
  add(workload, "GpGp", theirs$seconds, paste0(times(theirs$seconds, ours$seconds), "; of jittered locations"))
}

workload <- sprintf("max-min order of %d x 2", n)
ours <- timed(function() order_maxmin(locs))
add(workload, "covertree", ours$seconds, "1.0 times")
if (has("GpGp")) {
  theirs <- timed(function() GpGp::order_maxmin(locs), 1L)
  add(workload, "GpGp", theirs$seconds, paste0(times(theirs$seconds, ours$seconds), "; approximate"))
}
many <- uniform(10L * n, 2L)
add(sprintf("max-min order of %d x 2", 10L * n), "covertree", timed(function() order_maxmin(many))$seconds, "1.0 times")

points <- uniform(n, 3L)
workload <- sprintf("10 nearest of all %d x 3", n)
ours <- timed(function() knn(cover_tree(points), 10, exclude_self = TRUE))
add(workload, "covertree", ours$seconds, "1.0 times")
if (has("FNN")) {
  theirs <- timed(function() FNN::get.knn(points, 10), 1L)
  note <- sprintf("%s; distances differ by at most %.0e", times(theirs$seconds, ours$seconds),
                  max(abs(theirs$result$nn.dist - ours$result$nn.dist)))
  add(workload, "FNN", theirs$seconds, note)
}
if (has("RANN")) {
  theirs <- timed(function() RANN::nn2(points, k = 11), 1L)
  add(workload, "RANN", theirs$seconds, times(theirs$seconds, ours$seconds))
}
for (package in c("FNN", "RANN", "GpGp")) if (!has(package)) cat(package, "is not installed, skipped\n")

cpu <- sub(".*: *", "", grep("^model name", readLines("/proc/cpuinfo"), value = TRUE)[[1L]])
load <- strsplit(readLines("/proc/loadavg"), " ", fixed = TRUE)[[1L]][[1L]]
note <- sprintf(
  "Seconds of the clock, and of all threads in brackets. covertree: medians of %d turns; peers: one turn. %s, %d threads, %s, load %s; `benchmarks/r.R` writes this table.",
  TURNS, cpu, covertree_threads(), R.version.string, load
)
if (!quick) {
  head <- c("| workload | package | seconds | of covertree's |", "| --- | --- | ---: | --- |")
  writeLines(c(head, lines, "", note), file.path(folder, "r.md"))
}
