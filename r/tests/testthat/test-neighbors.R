test_that("ordered neighbours are those of brute force", {
  for (dim in c(1L, 2L, 5L)) {
    locs <- uniform(300, dim, dim)
    expect_identical(ordered_neighbors(locs, 12), nearest_before(distances_between(locs, locs), 12))
  }
})

test_that("of equal locations the lower row comes first", {
  locs <- uniform(40, 2)[rep(1:40, 5), ]
  expect_identical(ordered_neighbors(locs, 7), nearest_before(distances_between(locs, locs), 7))
})

test_that("longitudes and latitudes are points of the sphere", {
  set.seed(2)
  lonlat <- cbind(runif(300, -180, 180), runif(300, -90, 90), runif(300, 0, 50))
  radians <- lonlat[, 1:2] * pi / 180
  xyz <- cbind(cos(radians[, 2]) * cos(radians[, 1]), cos(radians[, 2]) * sin(radians[, 1]), sin(radians[, 2]))
  found <- ordered_neighbors(lonlat[, 1:2], 10, lonlat = TRUE)
  expect_identical(found, nearest_before(distances_between(xyz, xyz), 10))
  scaled <- cbind(xyz / 0.1, lonlat[, 3] / 5)
  expected <- nearest_before(distances_between(scaled, scaled), 10)
  expect_identical(ordered_neighbors(lonlat, 10, lonlat = TRUE, st_scale = c(0.1, 5)), expected)
  expect_identical(order_maxmin(lonlat, lonlat = TRUE, st_scale = c(0.1, 5)), maxmin_by_definition(scaled))
})

test_that("st_scale divides the columns of space and of time", {
  locs <- uniform(200, 3)
  scaled <- sweep(locs, 2L, c(2, 2, 0.3), "/")
  expect_identical(ordered_neighbors(locs, 5, st_scale = c(2, 0.3)), ordered_neighbors(scaled, 5))
})

test_that("few locations have few neighbours", {
  expect_identical(ordered_neighbors(matrix(1:2, 1), 3), matrix(1L))
  expect_identical(ordered_neighbors(uniform(5, 2), 0), matrix(1:5))
  expect_identical(ordered_neighbors(c(0, 3, 1), 9), rbind(c(1L, NA, NA), c(2L, 1L, NA), c(3L, 1L, 2L)))
})

test_that("matrices of integers, vectors and data frames are locations", {
  set.seed(3)
  whole <- matrix(sample(1000L, 200L), 100L)
  expect_identical(ordered_neighbors(whole, 5), ordered_neighbors(whole + 0, 5))
  expect_identical(ordered_neighbors(as.data.frame(whole), 5), ordered_neighbors(whole, 5))
  expect_identical(ordered_neighbors(whole[, 1L], 5), ordered_neighbors(whole[, 1L, drop = FALSE], 5))
})

test_that("points of sf are locations", {
  skip_if_not_installed("sf")
  lonlat <- cbind(c(-170, 175, 10, 12), c(0, 0, 5, 5))
  points <- sf::st_as_sf(as.data.frame(lonlat), coords = 1:2, crs = 4326)
  expect_identical(ordered_neighbors(points, 2), ordered_neighbors(lonlat, 2, lonlat = TRUE))
  expect_identical(order_maxmin(sf::st_geometry(points)), order_maxmin(lonlat, lonlat = TRUE))
})

test_that("the max-min order follows its definition", {
  for (dim in 1:3) {
    locs <- uniform(250, dim, dim)
    expect_identical(order_maxmin(locs), maxmin_by_definition(locs))
  }
  grid <- as.matrix(expand.grid(1:9, 1:7))
  expect_identical(order_maxmin(grid), maxmin_by_definition(grid + 0))
})

test_that("neighbours by residual correlation are those of brute force", {
  locs <- uniform(300, 2)
  names <- c(exponential_isotropic = "matern12", matern15_isotropic = "matern32", matern25_isotropic = "matern52")
  for (kernel in c("rbf", "matern12", "matern32", "matern52", names(names))) {
    factor <- if (kernel %in% names(names)) sqrt(2 * match(kernel, names(names)) - 1) else 1
    own <- if (kernel %in% names(names)) names[[kernel]] else kernel
    found <- correlation_neighbors(locs, 8, c(2, 0.3, 0.1), kernel, n_inducing = 25)
    lengthscale <- 0.3 * factor
    inducing <- covertree:::inducing_points(locs, rep(lengthscale, 2), 25L, 42L)
    distances <- residual_distances(own, locs, inducing, 2, lengthscale)
    expected <- nearest_before(distances, 8)
    # Distances that differ by rounding may change places.
    of <- function(sets) matrix(distances[cbind(c(row(sets)), c(sets))], 300)
    expect_equal(of(found), of(expected), tolerance = 1e-9)
  }
})

test_that("without inducing points correlations order as distances over the ranges", {
  locs <- uniform(200, 3)
  scaled <- sweep(locs, 2L, c(0.2, 0.2, 1), "/")
  expected <- ordered_neighbors(scaled, 6)
  expect_identical(correlation_neighbors(locs, 6, c(1, 0.2, 1, 0), "exponential_spacetime"), expected)
  expect_identical(correlation_neighbors(locs, 6, c(1, 0.2, 0.2, 1, 0), "matern15_scaledim"), expected)
  lonlat <- cbind(locs[, 1] * 360, locs[, 2] * 180 - 90)
  on_sphere <- correlation_neighbors(lonlat, 6, c(1, 0.2, 0), "exponential_sphere")
  expect_identical(on_sphere, ordered_neighbors(lonlat, 6, lonlat = TRUE))
})

test_that("GpGp finds the same neighbours, and reads ours", {
  skip_if_not_installed("GpGp")
  locs <- uniform(500, 2)
  set.seed(1)  # of its jitter
  theirs <- GpGp::find_ordered_nn(locs, 10)
  ours <- ordered_neighbors(locs, 10)
  expect_gt(mean(theirs == ours, na.rm = TRUE), 0.95)
  y <- sin(5 * locs[, 1])
  parameters <- c(1.4, 0.6, 0.007)
  X <- matrix(1, 500, 1)
  theirs <- GpGp::vecchia_profbeta_loglik(parameters, "matern15_isotropic", y, X, locs, ours)$loglik
  model <- vif_model(y, locs, kernel = "matern15_isotropic", variance = 1.4, lengthscale = 0.6, noise = 1.4 * 0.007,
                     n_inducing = 0, ordering = "natural", neighbors = ours)
  expect_equal(as.numeric(logLik(model)), theirs, tolerance = 1e-8)
})
