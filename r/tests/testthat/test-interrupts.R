test_that("an interrupt ends a long call, and the package goes on", {
  skip_on_os("windows")
  # Quadratic in 20 000: a minute without the interrupt.
  points <- uniform(20000, 30)
  signal <- sprintf("(sleep 1; kill -INT %d) >/dev/null 2>&1 &", Sys.getpid())
  outcome <- tryCatch({
    system(signal)
    for (attempt in 1:10) order_maxmin(points)
    "ended by itself"
  }, interrupt = function(condition) "interrupted")
  expect_identical(outcome, "interrupted")
  expect_identical(ordered_neighbors(c(0, 3, 1), 1), rbind(c(1L, NA), c(2L, 1L), c(3L, 1L)))
})
