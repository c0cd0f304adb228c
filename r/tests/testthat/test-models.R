locs <- uniform(150, 2)
set.seed(5)
y <- 2 + 3 * locs[, 1] + sin(6 * locs[, 1]) * cos(4 * locs[, 2]) + 0.1 * rnorm(150)
new <- uniform(20, 2, 8)

test_that("the log likelihood is that of the approximation by dense algebra", {
  for (kernel in c("rbf", "matern12", "matern32", "matern52")) {
    for (neighbors in c("correlation", "euclidean")) {
      model <- vif_model(y, locs, X = NULL, kernel = kernel, noise = 0.02, variance = 1.5, lengthscale = c(0.3, 0.5),
                         n_neighbors = 6, n_inducing = 12, neighbors = neighbors)
      expect_equal(as.numeric(logLik(model)), dense_log_likelihood(y, model_covariance(model)), tolerance = 1e-6)
    }
  }
})

test_that("the trend is fitted by generalised least squares", {
  X <- cbind(1, locs)
  model <- vif_model(y, locs, X = X, noise = 0.02, lengthscale = 0.3, n_neighbors = 6, n_inducing = 12)
  precision <- solve(model_covariance(model))
  covariance <- solve(t(X) %*% precision %*% X)
  expect_equal(unname(vcov(model)), unname(covariance), tolerance = 1e-6)
  expect_equal(unname(coef(model)[1:3]), c(covariance %*% t(X) %*% precision %*% y), tolerance = 1e-6)
  expect_equal(as.numeric(logLik(model)), dense_log_likelihood(y, model_covariance(model), X), tolerance = 1e-6)
})

exact <- vif_model(y, locs, X = NULL, noise = 0.02, variance = 1.5, lengthscale = 0.3, n_neighbors = 200, n_inducing = 0)
own <- covariances("matern32", locs, locs, 1.5, 0.3) + diag(0.02, 150)
cross <- covariances("matern32", locs, new, 1.5, 0.3)
mean_given_data <- drop(crossprod(cross, solve(own, y)))
covariance_given_data <- covariances("matern32", new, new, 1.5, 0.3) - crossprod(cross, solve(own, cross))

test_that("with all neighbours predictions are those of the exact process", {
  deviation <- sqrt(diag(covariance_given_data) + 0.02)
  found <- predict(exact, new, se.fit = TRUE)
  expect_equal(found, list(fit = mean_given_data, se.fit = deviation), tolerance = 1e-6)
  latent <- predict(exact, new, se.fit = TRUE, latent = TRUE)
  expect_equal(latent$se.fit, sqrt(diag(covariance_given_data)), tolerance = 1e-5)
  interval <- predict(exact, new, interval = "prediction", level = 0.9)
  expect_equal(interval[, "upr"], mean_given_data + qnorm(0.95) * deviation, tolerance = 1e-6)
  expect_equal(interval[, "fit"], mean_given_data, tolerance = 1e-6)
  joint <- predict(exact, new, cov = TRUE)
  expect_equal(joint$cov, covariance_given_data + diag(0.02, 20), tolerance = 1e-6)
  expect_equal(predict(exact, new, cov = TRUE, latent = TRUE)$cov, covariance_given_data, tolerance = 1e-5)
})

test_that("predictions add the trend", {
  X <- cbind(1, locs)
  with_trend <- vif_model(y, locs, X = X, noise = 0.02, lengthscale = 0.3, n_neighbors = 200, n_inducing = 0)
  own <- covariances("matern32", locs, locs, 1, 0.3) + diag(0.02, 150)
  rest <- y - X %*% coef(with_trend)[1:3]
  cross <- covariances("matern32", locs, new, 1, 0.3)
  expected <- cbind(1, new) %*% coef(with_trend)[1:3] + crossprod(cross, solve(own, rest))
  expect_equal(predict(with_trend, new, cbind(1, new)), c(expected), tolerance = 1e-6)
  left <- cbind(1, new) - crossprod(cross, solve(own, X))
  covariance <- covariances("matern32", new, new, 1, 0.3) - crossprod(cross, solve(own, cross)) +
    left %*% solve(crossprod(X, solve(own, X)), t(left)) + diag(0.02, 20)
  found <- predict(with_trend, new, cbind(1, new), se.fit = TRUE)
  expect_equal(found$se.fit, sqrt(diag(covariance)), tolerance = 1e-6)
  expect_equal(predict(with_trend, new, cbind(1, new), cov = TRUE)$cov, covariance, tolerance = 1e-6)
})

test_that("draws have the moments of the process", {
  few <- vif_model(y[1:4], locs[1:4, ], noise = 0.3, variance = 2, lengthscale = 0.4, n_inducing = 2)
  draws <- as.matrix(simulate(few, 20000, seed = 1))
  expect_equal(unname(cov(t(draws))), model_covariance(few), tolerance = 0.05)
  expect_equal(mean(draws), unname(coef(few)[[1L]]), tolerance = 0.05)
  at_new <- as.matrix(simulate(exact, 20000, seed = 2, newdata = new[1:3, ]))
  expect_equal(rowMeans(at_new), mean_given_data[1:3], tolerance = 0.02)
  expect_equal(unname(cov(t(at_new))), covariance_given_data[1:3, 1:3] + diag(0.02, 3), tolerance = 0.1)
})

test_that("a seed makes draws again, and leaves the generator alone", {
  set.seed(1)
  expected <- runif(1)
  set.seed(1)
  one <- simulate(exact, 2, seed = 7)
  expect_identical(runif(1), expected)
  expect_identical(simulate(exact, 2, seed = 7), one)
  expect_false(identical(simulate(exact, 2), simulate(exact, 2)))
  expect_named(one, c("sim_1", "sim_2"))
})

test_that("each order, and sets from elsewhere, make a model", {
  order <- order_maxmin(locs)
  sets <- ordered_neighbors(locs[order, ], 6)
  given <- vif_model(y, locs, noise = 0.02, lengthscale = 0.3, n_inducing = 0, ordering = order, neighbors = sets)
  chosen <- vif_model(y, locs, noise = 0.02, lengthscale = 0.3, n_inducing = 0, n_neighbors = 6)
  expect_identical(logLik(given), logLik(chosen))
  natural <- vif_model(y, locs, noise = 0.02, n_neighbors = 3, n_inducing = 0, ordering = "natural")
  expect_identical(natural$neighbors, ordered_neighbors(locs, 3))
  random <- vif_model(y, locs, noise = 0.02, n_neighbors = 3, n_inducing = 5, ordering = "random")
  expect_identical(sort(random$order), 1:150)
  expect_false(identical(random$order, 1:150))
  expect_equal(as.numeric(logLik(random)), dense_log_likelihood(y, model_covariance(random), matrix(1, 150)),
               tolerance = 1e-6)
})

test_that("neighbors by distance serve predictions, too", {
  model <- vif_model(y, locs, X = NULL, noise = 0.02, variance = 1.5, lengthscale = 0.3, n_neighbors = 149,
                     n_inducing = 0, neighbors = "euclidean")
  expect_equal(predict(model, new), mean_given_data, tolerance = 1e-3)
  expect_equal(predict(model, new, cov = TRUE)$cov, covariance_given_data + diag(0.02, 20), tolerance = 1e-3)
})

test_that("a model without neighbours is FITC", {
  model <- vif_model(y, locs, X = NULL, noise = 0.02, lengthscale = 0.3, n_neighbors = 0, n_inducing = 30)
  expect_equal(as.numeric(logLik(model)), dense_log_likelihood(y, model_covariance(model)), tolerance = 1e-6)
  expect_length(predict(model, new), 20L)
  expect_identical(dim(simulate(model, 2, newdata = new)), c(20L, 2L))
})

test_that("a saved model predicts the same", {
  model <- vif_model(y, locs, noise = 0.02, lengthscale = 0.3, n_neighbors = 6, n_inducing = 12)
  path <- tempfile(fileext = ".rds")
  saveRDS(model, path)
  again <- readRDS(path)
  expect_identical(predict(again, new, se.fit = TRUE), predict(model, new, se.fit = TRUE))
  expect_identical(simulate(again, 1, seed = 1), simulate(model, 1, seed = 1))
})

test_that("a formula is the same as matrices", {
  data <- data.frame(y, a = locs[, 1], b = locs[, 2], group = factor(rep(c("u", "v", "w"), 50)))
  data$y[[3L]] <- NA
  data$b[[5L]] <- NA
  model <- vif_model(y ~ group | s(a, 2 * b), data, noise = 0.02, lengthscale = 0.3, n_neighbors = 6, n_inducing = 12)
  kept <- data[-c(3, 5), ]
  X <- model.matrix(~group, kept)
  same <- vif_model(kept$y, cbind(kept$a, 2 * kept$b), X = X, noise = 0.02, lengthscale = 0.3, n_neighbors = 6,
                    n_inducing = 12)
  expect_identical(coef(model), coef(same))
  expect_identical(logLik(model), logLik(same))
  newdata <- data.frame(a = new[, 1], b = new[, 2], group = rep(c("w", "u"), 10))
  newX <- cbind(1, 0, newdata$group == "w")
  expect_equal(unname(predict(model, newdata)), predict(same, cbind(new[, 1], 2 * new[, 2]), newX))
  no_trend <- vif_model(y ~ 0 | s(a, b), kept, noise = 0.02)
  expect_length(no_trend$coefficients, 0L)
  expect_length(predict(no_trend, newdata), 20L)
})

test_that("the generic functions of models work", {
  model <- vif_model(y, locs, noise = 0.02, lengthscale = 0.3, n_neighbors = 6, n_inducing = 12)
  expect_named(coef(model), c("(Intercept)", "noise", "variance", "lengthscale1", "lengthscale2"))
  expect_identical(nobs(model), 150L)
  expect_equal(AIC(model), -2 * as.numeric(logLik(model)) + 2)
  expect_output(print(model), "150 observations, 6 neighbours, 12 inducing points")
  expect_output(print(summary(model)), "Trend, by generalised least squares")
})

test_that("a direction of longitude and latitude is on the sphere", {
  lonlat <- cbind(locs[, 1] * 360, locs[, 2] * 160 - 80)
  model <- vif_model(y, lonlat, noise = 0.02, lengthscale = 0.3, lonlat = TRUE, n_neighbors = 6, n_inducing = 12)
  expect_identical(ncol(model$points), 3L)
  shifted <- lonlat + rep(c(360, 0), each = 150)
  expect_equal(predict(model, shifted[1:5, ]), predict(model, lonlat[1:5, ]))
})
