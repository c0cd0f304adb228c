# Gaussian processes with given hyperparameters.
#
# A model is a list of R's data and one environment, `state`, with its handle and, once it has been searched for neighbours of
# new points, its tree. A model that comes from a file makes both again when they are needed.

vif_model <- function(y, ...) UseMethod("vif_model")

vif_model.formula <- function(formula, data = environment(formula), lonlat = is_lonlat(data), ...) {
  found <- parsed(formula, data)
  model <- vif_model(found$y, found$locs, X = found$X, lonlat = lonlat, ...)
  model$formula <- found$model
  model$call <- match.call()
  model
}

vif_model.default <- function(y, locs, X = 1, kernel = "matern32", noise = 0, variance = 1, lengthscale = 1,
                              n_neighbors = 30, n_inducing = NULL, ordering = "maxmin",
                              neighbors = "correlation", lonlat = is_lonlat(locs), seed = 42, ...) {
  no_more(...)
  data <- observed(y, locs, X, lonlat)
  kind <- kernel_of(kernel)
  dim <- ncol(data$points)
  lengthscale <- lengthscales_of(as_positive(lengthscale, "lengthscale", c(1L, 2L, dim)), dim, "lengthscale")
  parameters <- list(noise = as_noise(noise), variance = as_positive(variance, "variance"),
                     lengthscale = lengthscale * kind$factor)
  choices <- choices_of(nrow(data$points), n_neighbors, n_inducing, ordering, neighbors, seed)
  model <- built(data, list(name = kernel, shape = kind$shape), parameters, choices)
  model$call <- match.call()
  with_trend(model)
}

no_more <- function(...) {
  if (...length()) raise(sprintf("%s: is not an argument", c(names(list(...)), "...")[[1L]]))
}

# The library's own limit.
LARGEST_RESPONSE <- 2^200

# The observations, checked.
observed <- function(y, locs, X, lonlat) {
  force(lonlat)
  points <- located(locs, lonlat)$points
  n <- nrow(points)
  if (!is.numeric(y) || length(y) != n) {
    raise(sprintf("y: expected %d numbers, one for each row of locs, got %s", n, described(y)))
  }
  bad <- which(!is.finite(y) | abs(y) > LARGEST_RESPONSE)
  if (length(bad)) {
    raise(sprintf("y[%d]: expected a finite number of a size up to 2^200, got %s", bad[[1L]], y[[bad[[1L]]]]))
  }
  list(y = as.double(y), X = as_design(X, n, "X"), points = points, lonlat = lonlat)
}

# The columns of a trend: NULL for a mean of 0, one number for a constant.
as_design <- function(X, n, name, columns = NULL) {
  if (is.null(X)) return(NULL)
  if (is.numeric(X) && length(X) == 1L && is.null(dim(X))) {
    return(matrix(as.double(X), n, 1L, dimnames = list(NULL, "(Intercept)")))
  }
  X <- as_points(X, name, columns)
  if (nrow(X) != n) raise(sprintf("%s: expected %d rows, one for each location, got %d", name, n, nrow(X)))
  if (anyNA(X)) raise(sprintf("%s: expected finite numbers, got NA", name))
  if (is.null(columns) && qr(X)$rank < ncol(X)) {
    raise(sprintf("%s: expected linearly independent columns, got others", name))
  }
  if (is.null(colnames(X))) colnames(X) <- paste0("X", seq_len(ncol(X)))
  X
}

as_noise <- function(noise) {
  if (!is.numeric(noise) || length(noise) != 1L || !isTRUE(noise >= 0 && noise < Inf)) {
    raise(sprintf("noise: expected a finite number from 0 up, got %s", described(noise)))
  }
  as.double(noise)
}

# How a model chooses its order, sets and inducing points.
DEFAULT_INDUCING <- 512

choices_of <- function(n, n_neighbors, n_inducing, ordering, neighbors, seed) {
  if (is.null(n_inducing)) n_inducing <- min(DEFAULT_INDUCING, n)
  if (is.numeric(neighbors)) neighbors <- as_neighbors(neighbors, "neighbors", n)
  else as_choice(neighbors, "neighbors", c("correlation", "euclidean"))
  if (is.numeric(ordering)) ordering <- as_order(ordering, "ordering", n)
  else as_choice(ordering, "ordering", c("maxmin", "random", "natural"))
  list(n_neighbors = as_count(n_neighbors, "n_neighbors"),
       n_inducing = as_count(n_inducing, "n_inducing", maximum = n),
       ordering = ordering, neighbors = neighbors, seed = as_count(seed, "seed"))
}

# The order of points, their sets in this order, and the inducing points, for a kernel.
chosen_sets <- function(points, shape, parameters, choices) {
  n <- nrow(points)
  lengthscale <- parameters$lengthscale
  order <- if (is.numeric(choices$ordering)) choices$ordering else switch(
    choices$ordering,
    maxmin = maxmin(points, lengthscale),
    random = with_seed(choices$seed, sample.int(n)),
    natural = seq_len(n)
  )
  ranked <- points[order, , drop = FALSE]
  inducing <- inducing_points(ranked, lengthscale, choices$n_inducing, choices$seed)
  sets <- if (is.numeric(choices$neighbors)) choices$neighbors else {
    k <- min(choices$n_neighbors, n - 1L)
    predecessors(model_tree(ranked, shape, parameters, inducing, choices$neighbors), n, k)
  }
  list(order = order, neighbors = sets, inducing = inducing)
}

# A tree in the metric by which a model chooses neighbours. Sets from elsewhere are by residual correlation, too.
model_tree <- function(ranked, shape, parameters, inducing, neighbors) {
  if (identical(neighbors, "euclidean")) return(space_tree(ranked, parameters$lengthscale))
  process <- process_of(shape, parameters$variance, parameters$lengthscale, inducing)
  result_of(.Call(ctr_residual_build, ranked, process), c(points = "locs"))
}

built <- function(data, kernel, parameters, choices, sets = NULL) {
  if (is.null(sets)) sets <- chosen_sets(data$points, kernel$shape, parameters, choices)
  model <- c(data, list(kernel = kernel, parameters = parameters, choices = choices), sets,
             list(state = new.env(parent = emptyenv())))
  class(model) <- "vif_model"
  handle_of(model)
  model
}

process_of_model <- function(model) {
  parameters <- model$parameters
  process_of(model$kernel$shape, parameters$variance, parameters$lengthscale, model$inducing, parameters$noise)
}

handle_of <- function(model) {
  state <- model$state
  if (is.null(state$handle) || .Call(ctr_is_empty, state$handle)) {
    handle <- .Call(ctr_vif_build, model$points, model$order, model$neighbors, process_of_model(model))
    state$handle <- result_of(handle, c(points = "locs"))
  }
  state$handle
}

# The tree of the data, for neighbours of new points.
tree_of <- function(model) {
  state <- model$state
  if (is.null(state$tree) || .Call(ctr_is_empty, state$tree)) {
    ranked <- model$points[model$order, , drop = FALSE]
    state$tree <- model_tree(ranked, model$kernel$shape, model$parameters, model$inducing,
                             model$choices$neighbors)
  }
  state$tree
}

# The coefficients of the trend by generalised least squares, their covariance, and the residuals of the response.
trend_of <- function(handle, y, X) {
  if (is.null(X)) return(list(coefficients = numeric(), vcov = matrix(0, 0L, 0L), residuals = y))
  solved <- result_of(.Call(ctr_vif_solve, handle, X), c(y = "X"))
  precision <- crossprod(X, solved)
  factor <- tryCatch(chol(precision), error = function(e) {
    raise("X: expected linearly independent columns, got others")
  })
  covariance <- chol2inv(factor)
  dimnames(covariance) <- list(colnames(X), colnames(X))
  coefficients <- drop(covariance %*% crossprod(solved, y))
  list(coefficients = coefficients, vcov = covariance, residuals = drop(y - X %*% coefficients))
}

with_trend <- function(model) {
  handle <- handle_of(model)
  trend <- trend_of(handle, model$y, model$X)
  model[names(trend)] <- trend
  model$log_likelihood <- result_of(.Call(ctr_vif_log_likelihood, handle, trend$residuals, FALSE))
  model
}
