# The oracle: brute force, and dense algebra by the definitions.

distances_between <- function(a, b) {
  squares <- 0
  for (j in seq_len(ncol(a))) squares <- squares + outer(a[, j], b[, j], "-")^2
  sqrt(squares)
}

# NNarray of a matrix of distances: of equally near predecessors the lower row comes first.
nearest_before <- function(distances, m) {
  n <- nrow(distances)
  found <- matrix(NA_integer_, n, min(m, n - 1L) + 1L)
  for (i in seq_len(n)) {
    order <- order(distances[i, seq_len(i - 1L)])[seq_len(min(m, i - 1L))]
    found[i, seq_len(length(order) + 1L)] <- c(i, order)
  }
  found
}

maxmin_by_definition <- function(points) {
  n <- nrow(points)
  distances <- distances_between(points, points)
  centre <- matrix(colMeans(points), 1L)
  order <- which.min(distances_between(points, centre))
  nearest <- distances[order, ]
  while (length(order) < n) {
    nearest[order] <- -1
    order <- c(order, which.max(nearest))
    nearest <- pmin(nearest, distances[order[[length(order)]], ])
  }
  order
}

covariances <- function(kernel, a, b, variance, lengthscale) {
  lengthscale <- rep_len(lengthscale, ncol(a))
  d <- distances_between(sweep(a, 2L, lengthscale, "/"), sweep(b, 2L, lengthscale, "/"))
  variance * switch(
    kernel,
    rbf = exp(-d^2 / 2),
    matern12 = exp(-d),
    matern32 = (1 + sqrt(3) * d) * exp(-sqrt(3) * d),
    matern52 = (1 + sqrt(5) * d + 5 * d^2 / 3) * exp(-sqrt(5) * d)
  )
}

# V, a row for each point.
features <- function(kernel, points, inducing, variance, lengthscale, jitter = 1e-6) {
  inner <- covariances(kernel, inducing, inducing, variance, lengthscale) + diag(jitter * variance, nrow(inducing))
  t(forwardsolve(t(chol(inner)), covariances(kernel, inducing, points, variance, lengthscale)))
}

residual_distances <- function(kernel, points, inducing, variance, lengthscale) {
  V <- features(kernel, points, inducing, variance, lengthscale)
  R <- covariances(kernel, points, points, variance, lengthscale) - tcrossprod(V)
  rho <- R / sqrt(outer(diag(R), diag(R)))
  sqrt(1 - pmin(abs(rho), 1))
}

# The covariance of a model's response, in the order of its observations.
model_covariance <- function(model) {
  p <- model$parameters
  kernel <- names(which(covertree:::SHAPES == model$kernel$shape))
  points <- model$points[model$order, , drop = FALSE]
  n <- nrow(points)
  V <- if (nrow(model$inducing)) features(kernel, points, model$inducing, p$variance, p$lengthscale) else matrix(0, n, 1L)
  R <- covariances(kernel, points, points, p$variance, p$lengthscale) - tcrossprod(V)
  B <- diag(n)
  D <- numeric(n)
  for (i in seq_len(n)) {
    set <- model$neighbors[i, -1L]
    set <- set[!is.na(set)]
    D[[i]] <- R[i, i] + p$noise
    if (!length(set)) next
    weights <- solve(R[set, set] + diag(p$noise, length(set)), R[set, i])
    B[i, set] <- -weights
    D[[i]] <- D[[i]] - sum(weights * R[set, i])
  }
  ranked <- tcrossprod(V) + solve(crossprod(B, B / D))
  back <- order(model$order)
  ranked[back, back]
}

dense_log_likelihood <- function(y, covariance, X = NULL) {
  factor <- chol(covariance)
  if (!is.null(X)) y <- y - X %*% solve(crossprod(X, solve(covariance, X)), crossprod(X, solve(covariance, y)))
  -sum(log(diag(factor))) - sum(backsolve(factor, y, transpose = TRUE)^2) / 2 - length(y) * log(2 * pi) / 2
}

uniform <- function(n, dim, seed = 1L) {
  set.seed(seed)
  matrix(runif(n * dim), n)
}

# An error of the package about one argument.
expect_wrong <- function(object, argument, text = NULL) {
  error <- tryCatch(force(object), covertree_error = identity)
  expect_s3_class(error, "covertree_error")
  expect_identical(error$argument, argument)
  if (!is.null(text)) expect_match(conditionMessage(error), text, fixed = TRUE)
}
