# The library itself.

covertree_version <- function() .Call(ctr_version)

covertree_threads <- function(n = NULL) {
  if (is.null(n)) return(.Call(ctr_threads, NULL))
  n <- as_count(n, "n", maximum = 1024)
  invisible(result_of(.Call(ctr_threads, n), c(n_threads = "n")))
}
