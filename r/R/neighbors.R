# Neighbours and orders for Vecchia approximations, with the arguments and results of GpGp.

ordered_neighbors <- function(locs, m, lonlat = is_lonlat(locs), st_scale = NULL) {
  found <- located(locs, lonlat, st_scale)
  m <- as_count(m, "m")
  predecessors(space_tree(found$points, found$scale), nrow(found$points), m)
}

correlation_neighbors <- function(locs, m, covparms, kernel = "matern15_isotropic", n_inducing = 0,
                                  lonlat = is_lonlat(locs) || grepl("_sphere", kernel), seed = 42) {
  kind <- kernel_of(kernel)
  points <- located(locs, lonlat)$points
  m <- as_count(m, "m")
  n_inducing <- as_count(n_inducing, "n_inducing", maximum = nrow(points))
  seed <- as_count(seed, "seed")
  parameters <- covariance_parameters(covparms, ncol(points))
  lengthscale <- parameters$ranges * kind$factor
  inducing <- inducing_points(points, lengthscale, n_inducing, seed)
  process <- process_of(kind$shape, parameters$variance, lengthscale, inducing)
  predecessors(residual_tree(points, process), nrow(points), m)
}

# The variance and one range for each column, of GpGp's parameters: variance, ranges, nugget.
covariance_parameters <- function(covparms, dim) {
  if (!is.numeric(covparms) || length(covparms) < 3L || anyNA(covparms)) {
    raise(sprintf("covparms: expected numbers: variance, ranges, nugget; got %s", described(covparms)))
  }
  ranges <- covparms[-c(1L, length(covparms))]
  as_positive(c(covparms[[1L]], ranges), "covparms", length(covparms) - 1L)
  list(variance = covparms[[1L]], ranges = lengthscales_of(ranges, dim, "covparms"))
}

order_maxmin <- function(locs, lonlat = is_lonlat(locs), st_scale = NULL) {
  found <- located(locs, lonlat, st_scale)
  maxmin(found$points, found$scale)
}
