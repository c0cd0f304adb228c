# Fits of hyperparameters by maximum likelihood: the scheme of covertreex.vecchia.fit.
#
# Inducing points and sets depend on the hyperparameters. They are chosen again after iterations 1, 2, 4, 8 and so on with all
# data, and when the optimiser has converged. Between these refits they stay, so that the objective is smooth in each line
# search. A refit moves the likelihood of a large data set by tens of nats in either direction. So the fit ends if a stage
# between two refits no longer changes the hyperparameters, or gains less than refits move the likelihood. The result is the
# model with the largest likelihood.

# A fit to a sample of this size goes most of the way, if there are more data than the second number.
WARM_UP_POINTS <- 2000L
WARM_UP_DATA <- 5000L
WARM_UP_ITERATIONS <- c(30L, 60L)
# Nats per observation: the assumed change by a refit, before one has been measured.
FIRST_JUMP <- 5e-3
# Hyperparameters have not changed if no logarithm did by more than this.
LEAST_CHANGE <- 1e-4

vif_fit <- function(y, ...) UseMethod("vif_fit")

vif_fit.formula <- function(formula, data = environment(formula), lonlat = is_lonlat(data), ...) {
  found <- parsed(formula, data)
  model <- vif_fit(found$y, found$locs, X = found$X, lonlat = lonlat, ...)
  model$formula <- found$model
  model$call <- match.call()
  model
}

vif_fit.default <- function(y, locs, X = 1, kernel = "matern32", noise = NULL, variance = NULL, lengthscale = NULL,
                            ard = TRUE, bounds = list(), n_neighbors = 30, n_inducing = NULL, ordering = "maxmin",
                            neighbors = "correlation", lonlat = is_lonlat(locs), seed = 42, refit = TRUE,
                            max_iterations = 100, tolerance = 1e-11, verbose = FALSE, ...) {
  no_more(...)
  data <- observed(y, locs, X, lonlat)
  kind <- kernel_of(kernel)
  choices <- choices_of(length(data$y), n_neighbors, n_inducing, ordering, neighbors, seed)
  space <- hyperparameters(data, as_flag(ard, "ard"), noise, variance, lengthscale, kind$factor, bounds)
  plan <- list(refit = as_flag(refit, "refit"), max_iterations = as_count(max_iterations, "max_iterations"),
               tolerance = as_radius(tolerance, "tolerance"), verbose = as_flag(verbose, "verbose"))
  run <- new_run(data, list(name = kernel, shape = kind$shape), choices, space, plan)
  converged <- climb(run, warm_up(run))
  model <- built(data, run$kernel, parameters_of(space, run$best$theta), choices, run$best$sets)
  model$call <- match.call()
  model$fit <- list(converged = converged, n_iterations = run$n_iterations, n_evaluations = run$n_evaluations,
                    n_refits = run$n_refits, n_free = sum(space$free), bounds = exp(cbind(space$lower, space$upper)),
                    history = do.call(rbind, run$history))
  warn_of(run, converged)
  with_trend(model)
}

# The state of a fit: the best of all data, the curvatures, the history, and counts.
new_run <- function(data, kernel, choices, space, plan) {
  run <- list2env(list(data = data, kernel = kernel, choices = choices, space = space, plan = plan,
                       curvature = new_curvature(sum(space$free)), best = NULL, history = list(), n_iterations = 0L,
                       n_evaluations = 0L, n_refits = 0L))
  run
}

# Fits a sample, to start from its hyperparameters with all data.
warm_up <- function(run) {
  theta <- run$space$start
  n <- length(run$data$y)
  has_arrays <- is.numeric(run$choices$ordering) || is.numeric(run$choices$neighbors)
  if (n <= WARM_UP_DATA || has_arrays || !run$plan$refit || run$plan$max_iterations == 0L) return(theta)
  rows <- with_seed(run$choices$seed, sort(sample.int(n, WARM_UP_POINTS)))
  sample <- list(y = run$data$y[rows], X = run$data$X[rows, , drop = FALSE],
                 points = run$data$points[rows, , drop = FALSE], is_sample = TRUE)
  for (length in WARM_UP_ITERATIONS) {
    theta <- stage(run, sample, theta, length, FIRST_JUMP * WARM_UP_POINTS)$theta
  }
  run$n_iterations <- 0L
  theta
}

# Stages with all data, with refits between them. Returns whether they have converged.
climb <- function(run, theta) {
  most <- run$plan$max_iterations
  length <- if (run$plan$refit) 1L else most
  jumps <- if (run$plan$refit) FIRST_JUMP * length(run$data$y) else 0
  before <- NULL
  repeat {
    length <- min(length, most - run$n_iterations)
    ended <- stage(run, run$data, theta, length, max(jumps))
    if (!is.null(before)) {
      # Some refits move little by luck: the last two count.
      begin <- ended$log_likelihood - ended$gain
      jumps <- c(jumps[[length(jumps)]], abs(begin - before$log_likelihood))
    }
    is_same <- all(abs(ended$theta - theta) <= LEAST_CHANGE)
    has_settled <- is_same || (!is.null(before) && ended$gain < max(jumps))
    if (ended$has_converged && (!run$plan$refit || has_settled)) return(TRUE)
    if (run$n_iterations >= most) return(FALSE)
    if (!ended$has_converged) length <- max(run$n_iterations, 1L)
    theta <- ended$theta
    before <- ended
  }
}

warn_of <- function(run, converged) {
  if (!converged && run$plan$max_iterations > 0L) {
    warning(sprintf("vif_fit: has not converged after %d iterations; raise max_iterations to go on", run$n_iterations),
            call. = FALSE)
  }
  at <- at_bounds(run$space, run$best$theta)
  if (length(at) && run$plan$max_iterations > 0L) {
    warning(sprintf(paste("vif_fit: ended at bounds of %s; a column with a large lengthscale has no effect, and other",
                          "hyperparameters need wider bounds, or the data do not determine them"),
                    paste(at, collapse = ", ")), call. = FALSE)
  }
}
