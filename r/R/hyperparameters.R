# Hyperparameters of a fit as a vector of logarithms: of the noise, the variance and the lengthscales, with bounds.

# Shares of the variance of the responses and of the spread of the columns: starting values, and bounds.
START_OF_NOISE <- 0.2
RANGES <- list(noise = c(1e-6, 1e1), variance = c(1e-4, 1e3), lengthscale = c(1e-3, 1e3))
# Curvatures per observation: before anything is known, and the least as a share of the largest.
FIRST_CURVATURE <- 0.3
LEAST_CURVATURE <- 1e-3
# Steps with less curvature than this, as a cosine, change nothing.
LEAST_COSINE <- 1e-6
# Within this share of its width an interval's end is hit.
NEAR_BOUND <- 1e-3

# `groups` has for each column the number of its lengthscale: directions on the sphere share one.
hyperparameters <- function(data, ard, noise, variance, lengthscale, factor, bounds) {
  dim <- ncol(data$points)
  groups <- if (!ard) rep(1L, dim) else if (data$lonlat) c(1L, 1L, 1L, if (dim > 3L) 2L) else seq_len(dim)
  n_groups <- max(groups)
  response <- response_variance(data)
  columns <- exp(tapply(log(typical_distances(data$points)), groups, mean))
  if (is.null(noise)) noise <- START_OF_NOISE * response
  if (is.null(variance)) variance <- response
  if (is.null(lengthscale)) lengthscale <- columns
  else lengthscale <- rep_len(as_positive(lengthscale, "lengthscale", c(1L, n_groups)), n_groups) * factor
  start <- c(as_noise(noise), as_positive(variance, "variance"), lengthscale)
  limits <- limits_of(bounds, start, c(response, response, columns), factor)
  names <- c("noise", "variance", if (n_groups == 1L) "lengthscale" else paste0("lengthscale", seq_len(n_groups)))
  list(names = names, groups = groups, free = limits$lower < limits$upper, lower = limits$lower, upper = limits$upper,
       start = pmin(pmax(log(start), limits$lower), limits$upper))
}

# Of the response without a trend by ordinary least squares; 1 for a constant.
response_variance <- function(data) {
  rest <- if (is.null(data$X)) data$y else qr.resid(qr(data$X), data$y)
  found <- mean((rest - mean(rest))^2)
  if (found > 0) found else 1
}

# A typical distance along each column, so that all columns together make correlations. A constant counts as if it had a spread
# of 1. Squared distances add up over the columns, so the root of their number is a factor.
typical_distances <- function(points) {
  spreads <- apply(points, 2L, function(column) sqrt(mean((column - mean(column))^2)))
  ifelse(spreads > 0, spreads, 1) * sqrt(ncol(points))
}

# Logarithms of bounds: from a list with pairs of numbers, or "fixed" for the starting value, by name.
limits_of <- function(bounds, start, scales, factor) {
  if (!is.list(bounds)) raise(sprintf("bounds: expected a list, got %s", described(bounds)))
  for (name in if (length(bounds)) c(names(bounds), if (is.null(names(bounds))) "")) {
    as_choice(name, "bounds", names(RANGES))
  }
  lower <- upper <- log(start)
  which_of <- list(noise = 1L, variance = 2L, lengthscale = seq_along(start)[-(1:2)])
  for (name in names(RANGES)) {
    rows <- which_of[[name]]
    given <- bounds[[name]]
    if (identical(given, "fixed")) next
    if (is.null(given)) {
      # A starting value is within default bounds, wherever it is.
      lower[rows] <- pmin(log(RANGES[[name]][[1L]] * scales[rows]), lower[rows])
      upper[rows] <- pmax(log(RANGES[[name]][[2L]] * scales[rows]), upper[rows])
    } else {
      ends <- as_positive(given, sprintf("bounds$%s", name), 2L)
      if (ends[[1L]] > ends[[2L]]) raise(sprintf("bounds$%s: expected ascending numbers, got others", name))
      unit <- if (name == "lengthscale") factor else 1
      lower[rows] <- log(ends[[1L]] * unit)
      upper[rows] <- log(ends[[2L]] * unit)
    }
  }
  if (!all(is.finite(lower[lower < upper]))) {
    raise("noise: expected a number above 0 to start from, or fixed noise, got 0")
  }
  list(lower = lower, upper = upper)
}

# The parameters of a vector, with one lengthscale for each column.
parameters_of <- function(space, theta) {
  values <- unname(exp(theta))
  list(noise = values[[1L]], variance = values[[2L]], lengthscale = values[-(1:2)][space$groups])
}

# The library's gradient by one lengthscale for each column, as that by the vector.
gathered <- function(space, gradient) {
  c(gradient[1:2], rowsum(gradient[-(1:2)], space$groups)[, 1L])
}

at_bounds <- function(space, theta) {
  near <- NEAR_BOUND * (space$upper - space$lower)
  low <- space$free & theta <= space$lower + near
  high <- space$free & theta >= space$upper - near
  c(sprintf("%s (lower, %.3g)", space$names[low], exp(space$lower[low])),
    sprintf("%s (upper, %.3g)", space$names[high], exp(space$upper[high])))
}

# An estimate of the second derivatives of the negative log likelihood per observation, by the updates of BFGS. It is kept over
# refits, and from a sample to all data.
new_curvature <- function(n_free) list(matrix = FIRST_CURVATURE * diag(n_free), is_known = FALSE)

updated <- function(curvature, step, change) {
  product <- sum(step * change)
  if (product <= LEAST_COSINE * sqrt(sum(step^2) * sum(change^2))) return(curvature)
  known <- if (curvature$is_known) curvature$matrix else sum(change^2) / product * diag(length(step))
  along <- drop(known %*% step)
  known <- known + tcrossprod(change) / product - tcrossprod(along) / sum(step * along)
  list(matrix = known, is_known = TRUE)
}

diag_of <- function(curvature) {
  found <- diag(curvature$matrix)
  pmax(found, LEAST_CURVATURE * max(found))
}
