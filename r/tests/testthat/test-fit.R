locs <- uniform(80, 2)
set.seed(6)
truth <- covariances("matern32", locs, locs, 1.5, c(0.3, 0.6)) + diag(0.05, 80)
y <- 4 + drop(t(chol(truth)) %*% rnorm(80))

test_that("with all neighbours a fit reaches the largest likelihood of the exact process", {
  loss <- function(theta) {
    parameters <- exp(theta)
    covariance <- covariances("matern32", locs, locs, parameters[[2]], parameters[3:4]) + diag(parameters[[1]], 80)
    -dense_log_likelihood(y, covariance, matrix(1, 80))
  }
  expected <- optim(log(c(0.1, 1, 0.5, 0.5)), loss, method = "BFGS", control = list(reltol = 1e-14))
  fit <- vif_fit(y, locs, n_neighbors = 79, n_inducing = 0)
  expect_true(fit$fit$converged)
  expect_equal(as.numeric(logLik(fit)), -expected$value, tolerance = 1e-4)
  expect_equal(log(unname(coef(fit)[-1L])), expected$par, tolerance = 0.05)
  expect_identical(attr(logLik(fit), "df"), 5L)
})

test_that("the gradient is that of central differences", {
  space <- covertree:::hyperparameters(list(y = y, X = NULL, points = locs, lonlat = FALSE), TRUE, 0.1, 1, 0.4, 1, list())
  choices <- covertree:::choices_of(80, 5, 10, "maxmin", "correlation", 1)
  at <- covertree:::parameters_of(space, space$start)
  sets <- covertree:::chosen_sets(locs, 2L, at, choices)
  data <- list(y = y, X = matrix(1, 80), points = locs)
  run <- covertree:::new_run(data, list(shape = 2L), choices, space, list(verbose = FALSE))
  evaluated <- function(theta) {
    process <- covertree:::process_at(run, sets, covertree:::parameters_of(space, theta))
    handle <- .Call(covertree:::ctr_vif_build, locs, sets$order, sets$neighbors, process)
    covertree:::evaluation(run, data, sets, handle, theta)
  }
  gradient <- evaluated(space$start)$gradient
  numeric <- vapply(seq_along(gradient), function(i) {
    step <- replace(numeric(length(gradient)), i, 1e-4)
    (evaluated(space$start + step)$log_likelihood - evaluated(space$start - step)$log_likelihood) / 2e-4
  }, 0)
  expect_equal(unname(gradient), numeric, tolerance = 1e-5)
})

test_that("lengthscales are shared, fixed and bounded as asked", {
  one <- vif_fit(y, locs, ard = FALSE, n_neighbors = 8, n_inducing = 0)
  expect_equal(one$parameters$lengthscale[[1L]], one$parameters$lengthscale[[2L]])
  expect_identical(one$fit$n_free, 3L)
  fixed <- vif_fit(y, locs, noise = 0.05, bounds = list(noise = "fixed"), n_neighbors = 8, n_inducing = 0)
  expect_identical(fixed$parameters$noise, exp(log(0.05)))
  expect_identical(fixed$fit$n_free, 3L)
  expect_warning(bounded <- vif_fit(y, locs, bounds = list(lengthscale = c(0.01, 0.1)), n_neighbors = 8, n_inducing = 0),
                 "ended at bounds of lengthscale")
  expect_lte(max(bounded$parameters$lengthscale), 0.1 * (1 + 1e-12))
})

test_that("a fit on the sphere has one lengthscale for its directions", {
  lonlat <- cbind(locs[, 1] * 90, locs[, 2] * 60, seq_len(80))
  fit <- suppressWarnings(vif_fit(y, lonlat, lonlat = TRUE, n_neighbors = 8, n_inducing = 0, max_iterations = 3))
  expect_identical(fit$fit$n_free, 4L)
  expect_length(unique(fit$parameters$lengthscale), 2L)
})

test_that("ranges of GpGp are lengthscales here over the root of 2 nu", {
  ours <- vif_fit(y, locs, ard = FALSE, n_neighbors = 8, n_inducing = 0)
  theirs <- vif_fit(y, locs, kernel = "matern15_isotropic", ard = FALSE, n_neighbors = 8, n_inducing = 0)
  expect_identical(coef(theirs), coef(ours))
  started <- vif_fit(y, locs, kernel = "matern15_isotropic", lengthscale = 0.2, ard = FALSE, max_iterations = 0)
  expect_equal(started$parameters$lengthscale, rep(0.2 * sqrt(3), 2))
})

test_that("a fit that is not done warns", {
  expect_warning(fit <- vif_fit(y, locs, n_neighbors = 8, n_inducing = 0, max_iterations = 2), "has not converged")
  expect_false(fit$fit$converged)
  expect_identical(fit$fit$n_iterations, 2L)
  none <- vif_fit(y, locs, n_neighbors = 8, n_inducing = 0, max_iterations = 0)
  expect_identical(none$fit$n_evaluations, 1L)
})

test_that("many data begin with a sample, and end better", {
  locs <- uniform(5200, 2)
  y <- sin(7 * locs[, 1]) + cos(5 * locs[, 2])
  set.seed(7)
  y <- y + 0.2 * rnorm(5200)
  suppressMessages(expect_message(
    fit <- vif_fit(y, locs, kernel = "matern52", n_neighbors = 5, n_inducing = 20, verbose = TRUE),
    "of 2000 points"
  ))
  expect_identical(sort(unique(fit$fit$history$n_points)), c(2000L, 5200L))
  expect_equal(fit$parameters$noise, 0.04, tolerance = 0.1)
  start <- vif_fit(y, locs, kernel = "matern52", n_neighbors = 5, n_inducing = 20, max_iterations = 0)
  expect_gt(as.numeric(logLik(fit)), as.numeric(logLik(start)))
})

test_that("hyperparameters beyond float64 end no fit", {
  fit <- suppressWarnings(vif_fit(y, locs, kernel = "rbf", noise = 1e-6, lengthscale = 0.1, n_neighbors = 30,
                                  bounds = list(noise = c(1e-14, 1)), n_inducing = 0, max_iterations = 30))
  expect_true(is.finite(logLik(fit)))
})
