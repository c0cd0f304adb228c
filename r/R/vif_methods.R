# Methods of models.

coef.vif_model <- function(object, ...) {
  lengthscale <- object$parameters$lengthscale
  n <- length(lengthscale)
  names(lengthscale) <- if (n == 1L) "lengthscale" else paste0("lengthscale", seq_len(n))
  c(object$coefficients, noise = object$parameters$noise, variance = object$parameters$variance, lengthscale)
}

vcov.vif_model <- function(object, ...) object$vcov

nobs.vif_model <- function(object, ...) length(object$y)

logLik.vif_model <- function(object, ...) {
  n_fitted <- if (is.null(object$fit)) 0L else object$fit$n_free
  structure(object$log_likelihood, df = length(object$coefficients) + n_fitted, nobs = length(object$y),
            class = "logLik")
}

print.vif_model <- function(x, ...) {
  dims <- sprintf("%d observations, %d neighbours, %d inducing points", length(x$y), x$choices$n_neighbors,
                  nrow(x$inducing))
  cat("Gaussian process, kernel ", x$kernel$name, ": ", dims, "\n", sep = "")
  print(coef(x), ...)
  cat("log likelihood:", format(x$log_likelihood), "\n")
  invisible(x)
}

summary.vif_model <- function(object, ...) {
  error <- sqrt(diag(object$vcov))
  z <- object$coefficients / error
  trend <- cbind(Estimate = object$coefficients, "Std. Error" = error, "z value" = z,
                 "Pr(>|z|)" = 2 * stats::pnorm(-abs(z)))
  info <- result_of(.Call(ctr_vif_info, handle_of(object)))
  kept <- object[c("call", "kernel", "parameters", "log_likelihood", "fit")]
  n <- length(object$y)
  structure(c(kept, list(trend = trend, n = n, df = attr(logLik(object), "df"), info = info)),
            class = "summary.vif_model")
}

print.summary.vif_model <- function(x, digits = max(3L, getOption("digits") - 3L), ...) {
  cat("Call:\n")
  print(x$call)
  cat("\nCovariance (", x$kernel$name, "):\n", sep = "")
  covariance <- c(noise = x$parameters$noise, variance = x$parameters$variance, lengthscale = x$parameters$lengthscale)
  print(covariance, digits = digits)
  if (nrow(x$trend)) {
    cat("\nTrend, by generalised least squares:\n")
    stats::printCoefmat(x$trend, digits = digits)
  }
  cat(sprintf("\n%d observations, log likelihood %s (df = %d)\n", x$n, format(x$log_likelihood), x$df))
  if (!is.null(x$fit)) {
    state <- if (x$fit$converged) "converged" else "has not converged"
    cat(sprintf("The fit %s after %d iterations, %d evaluations and %d choices of sets.\n", state, x$fit$n_iterations,
                x$fit$n_evaluations, x$fit$n_refits))
  }
  invisible(x)
}

predict.vif_model <- function(object, newdata, newX = NULL, se.fit = FALSE, interval = c("none", "prediction"),
                              level = 0.95, latent = FALSE, cov = FALSE, ...) {
  no_more(...)
  interval <- match.arg(interval)
  level <- as_positive(level, "level")
  if (level >= 1) raise(sprintf("level: expected above 0 and below 1, got %s", level))
  as_flag(latent, "latent")
  new <- new_data(object, newdata, newX)
  if (as_flag(cov, "cov")) return(predicted_jointly(object, new, latent))
  found <- predicted(object, new)
  variance <- if (latent) found$variance else found$variance + object$parameters$noise
  fit <- found$mean
  if (interval != "none") {
    half <- qnorm((1 + level) / 2) * sqrt(variance)
    fit <- cbind(fit = fit, lwr = fit - half, upr = fit + half)
  }
  if (as_flag(se.fit, "se.fit")) list(fit = fit, se.fit = sqrt(variance)) else fit
}

# New locations as points, and the columns of the trend there.
new_data <- function(object, newdata, newX) {
  if (!is.null(object$formula) && is.data.frame(newdata)) {
    found <- parsed_new(object$formula, newdata)
  } else {
    found <- list(X = newX, locs = newdata)
  }
  points <- as_points(found$locs, "newdata")
  if (object$lonlat) points <- on_sphere(points, "newdata")
  dim <- ncol(object$points)
  if (ncol(points) != dim) raise(sprintf("newdata: expected %d columns, got %d", dim, ncol(points)))
  list(points = points, X = new_trend(object, found$X, nrow(points)))
}

new_trend <- function(object, X, n) {
  if (is.null(object$X)) {
    if (!is.null(X)) raise("newX: expected NULL, as the model has no trend")
    return(NULL)
  }
  constant <- identical(colnames(object$X), "(Intercept)")
  if (is.null(X) && constant) X <- object$X[[1L]]
  if (is.null(X)) raise(sprintf("newX: expected a matrix of %d columns, got NULL", ncol(object$X)))
  as_design(X, n, "newX", ncol(object$X))
}

# Each new point given its nearest data.
predicted <- function(object, new) {
  n <- nrow(object$points)
  k <- min(object$choices$n_neighbors, n)
  sets <- matrix(0L, nrow(new$points), 0L)
  if (k > 0L) {
    scale <- if (identical(object$choices$neighbors, "euclidean")) object$parameters$lengthscale
    sets <- search_knn(tree_of(object), new$points, k, scale = scale, names = c(queries = "newdata"))
  }
  found <- .Call(ctr_vif_predict, handle_of(object), cbind(object$y, object$X), new$points, sets)
  found <- kriged(object, new, result_of(found, c(points = "newdata")))
  found$variance <- found$variance + unname(rowSums((found$rest %*% object$vcov) * found$rest))
  found
}

# Universal kriging. The data around a new point predict the columns of the trend, too. The difference from the columns, `rest`, is
# multiplied by the coefficients, so their covariance adds to the variances.
kriged <- function(object, new, found) {
  columns <- seq_along(object$coefficients)
  found$rest <- if (is.null(new$X)) matrix(0, nrow(new$points), 0L) else new$X - found$mean[, 1L + columns, drop = FALSE]
  found$mean <- drop(found$mean[, 1L] + found$rest %*% object$coefficients)
  found
}

predicted_jointly <- function(object, new, latent) {
  sets <- joint_sets(object, new$points)
  found <- predicted_at(object, new, sets, TRUE)
  found$covariance <- found$covariance + found$rest %*% tcrossprod(object$vcov, found$rest)
  if (latent) diag(found$covariance) <- pmax(diag(found$covariance) - object$parameters$noise, 0)
  list(fit = found$mean, cov = found$covariance)
}

predicted_at <- function(object, new, sets, covariance) {
  found <- .Call(ctr_vif_predict_jointly, handle_of(object), cbind(object$y, object$X), new$points, sets,
                 object$parameters$noise, covariance)
  kriged(object, new, result_of(found, c(points = "newdata")))
}

# For each new point the nearest of the data and of the new points before it.
joint_sets <- function(object, points) {
  n <- nrow(object$points)
  rows <- n + seq_len(nrow(points))
  k <- min(object$choices$n_neighbors, n + nrow(points) - 1L)
  if (k == 0L) return(matrix(0L, nrow(points), 0L))
  if (identical(object$choices$neighbors, "euclidean")) {
    tree <- space_tree(rbind(object$points[object$order, , drop = FALSE], points), object$parameters$lengthscale,
                       "newdata")
  } else {
    tree <- result_of(.Call(ctr_residual_extend, tree_of(object), points), c(points = "newdata"))
  }
  on.exit(.Call(ctr_free, tree))
  search_knn(tree, as.integer(rows), k, PREDECESSORS)
}

simulate.vif_model <- function(object, nsim = 1, seed = NULL, newdata = NULL, newX = NULL, ...) {
  no_more(...)
  nsim <- as_count(nsim, "nsim", minimum = 1)
  draw <- function() {
    if (is.null(newdata)) drawn(object, nsim) else drawn_at(object, new_data(object, newdata, newX), nsim)
  }
  draws <- if (is.null(seed)) draw() else with_seed(as_count(seed, "seed"), draw())
  colnames(draws) <- paste0("sim_", seq_len(nsim))
  as.data.frame(draws)
}

# From the prior at the data, a column each.
drawn <- function(object, nsim) {
  n <- length(object$y)
  normals <- matrix(rnorm((nrow(object$inducing) + n) * nsim), ncol = nsim)
  found <- .Call(ctr_vif_draw, handle_of(object), NULL, NULL, object$parameters$noise, normals)
  mean <- if (is.null(object$X)) 0 else drop(object$X %*% object$coefficients)
  result_of(found) + mean
}

# At new points given the data.
drawn_at <- function(object, new, nsim) {
  sets <- joint_sets(object, new$points)
  mean <- predicted_at(object, new, sets, FALSE)$mean
  normals <- matrix(rnorm((nrow(object$inducing) + nrow(new$points)) * nsim), ncol = nsim)
  found <- .Call(ctr_vif_draw, handle_of(object), new$points, sets, object$parameters$noise, normals)
  result_of(found, c(points = "newdata")) + mean
}
