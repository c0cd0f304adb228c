# One stage of a fit: L-BFGS-B over hyperparameters, while order, sets and inducing points stay.

# An iteration is the last of its stage if it gains less than this share of the changes by refits.
SHARE_OF_JUMP <- 0.02
# Corrections that L-BFGS-B keeps: they take no time compared with an evaluation.
CORRECTIONS <- 20L

# Climbs for at most `most` iterations. Returns the last iterate and its gain over the start.
stage <- function(run, data, start, most, jump) {
  point <- parameters_of(run$space, start)
  choices <- run$choices
  choices$n_inducing <- min(choices$n_inducing, length(data$y))
  sets <- chosen_sets(data$points, run$kernel$shape, point, choices)
  run$n_refits <- run$n_refits + 1L
  handle <- .Call(ctr_vif_build, data$points, sets$order, sets$neighbors, process_at(run, sets, point))
  handle <- result_of(handle, c(points = "locs"))
  on.exit(.Call(ctr_free, handle))
  free <- run$space$free
  first <- evaluation(run, data, sets, handle, start)
  ended <- function(at, converged) {
    gain <- at$log_likelihood - first$log_likelihood
    list(theta = at$theta, gain = gain, log_likelihood = at$log_likelihood, has_converged = converged)
  }
  if (most == 0L || !any(free)) return(ended(first, !any(free)))
  n <- length(data$y)
  units <- 1 / sqrt(n * diag_of(run$curvature))
  objective <- new_objective(run, data, sets, handle, first, units, most)
  gain <- max(run$plan$tolerance * n, SHARE_OF_JUMP * jump)
  control <- list(lmm = CORRECTIONS, pgtol = 1e-6, maxit = 1000L,
                  factr = gain / max(abs(first$log_likelihood), 1) / .Machine$double.eps)
  is_cut <- tryCatch({
    optim(start[free] / units, objective$value, objective$slope, method = "L-BFGS-B",
          lower = run$space$lower[free] / units, upper = run$space$upper[free] / units, control = control)
    FALSE
  }, covertree_stage_end = function(e) TRUE)
  # A line search that finds nothing better ends a stage, too: rounding limits it.
  ended(objective$iterate(), !is_cut)
}

process_at <- function(run, sets, parameters) {
  process_of(run$kernel$shape, parameters$variance, parameters$lengthscale, sets$inducing, parameters$noise)
}

# The likelihood and its gradient. The coefficients of the trend maximise the likelihood, so they do not add to the gradient. Keeps
# the best evaluation of all data.
evaluation <- function(run, data, sets, handle, theta) {
  trend <- trend_of(handle, data$y, data$X)
  found <- result_of(.Call(ctr_vif_log_likelihood, handle, trend$residuals, TRUE))
  if (!is.finite(found$value) || !all(is.finite(found$gradient))) {
    raise("kernel: expected a finite likelihood and gradient, got others")
  }
  run$n_evaluations <- run$n_evaluations + 1L
  at <- list(theta = theta, log_likelihood = found$value, gradient = gathered(run$space, drop(found$gradient)))
  is_all <- is.null(data$is_sample)
  if (is_all && (is.null(run$best) || at$log_likelihood > run$best$log_likelihood)) {
    run$best <- list(theta = theta, log_likelihood = at$log_likelihood, sets = sets)
  }
  at
}

# The same at hyperparameters that the handle does not have.
evaluation_elsewhere <- function(run, data, sets, handle, theta) {
  process <- process_at(run, sets, parameters_of(run$space, theta))
  other <- result_of(.Call(ctr_vif_with_parameters, handle, process))
  on.exit(.Call(ctr_free, other))
  evaluation(run, data, sets, other, theta)
}

# Functions for optim(): of the free hyperparameters, each in a unit of its own. L-BFGS-B begins with the identity as its matrix
# of second derivatives, so its first step is Newton's with a diagonal matrix. An iterate is an evaluation that is better than
# all before; optim() does not say which ones it accepts.
new_objective <- function(run, data, sets, handle, first, units, most) {
  free <- run$space$free
  iterate <- last <- first
  n_iterations <- 0L
  barrier <- NULL
  at <- function(vector) {
    theta <- first$theta
    theta[free] <- vector * units
    pmin(pmax(theta, run$space$lower), run$space$upper)
  }
  accept <- function(found) {
    change <- (iterate$gradient - found$gradient)[free] / length(data$y)
    run$curvature <- updated(run$curvature, (found$theta - iterate$theta)[free], change)
    iterate <<- found
    n_iterations <<- n_iterations + 1L
    run$n_iterations <- run$n_iterations + 1L
    report(run, found, length(data$y))
  }
  move <- function(vector) {
    theta <- at(vector)
    if (max(abs(theta - last$theta)) <= 1e-14) return(invisible())
    if (n_iterations >= most) stop(structure(class = c("covertree_stage_end", "condition"), list()))
    barrier <<- NULL
    last <<- tryCatch(evaluation_elsewhere(run, data, sets, handle, theta), covertree_error = function(e) {
      if (!(e$argument %in% c("kernel", "noise", "variance"))) stop(e)
      barrier <<- fence(iterate, at(vector), free, units)
      list(theta = theta)
    })
    if (is.null(barrier) && last$log_likelihood > iterate$log_likelihood) accept(last)
  }
  list(
    value = function(vector) {
      move(vector)
      if (is.null(barrier)) -last$log_likelihood else barrier$value
    },
    slope = function(vector) {
      move(vector)
      if (is.null(barrier)) -last$gradient[free] * units else barrier$slope
    },
    iterate = function() iterate
  )
}

# The value and the slope if covariances are not positive definite. They are on a parabola along the step, which begins at the
# iterate with its slope, and is least after a quarter of the step. So the line search goes there next.
fence <- function(iterate, theta, free, units) {
  step <- (theta - iterate$theta)[free] / units
  fall <- max(sum(iterate$gradient[free] * units * step), 1)
  list(value = -iterate$log_likelihood + fall, slope = 3 * fall * step / sum(step * step))
}

report <- function(run, found, n) {
  best <- if (is.null(run$best)) NA_real_ else run$best$log_likelihood
  row <- data.frame(iteration = run$n_iterations, n_refits = run$n_refits, n_points = n,
                    log_likelihood = found$log_likelihood, best = best)
  run$history[[length(run$history) + 1L]] <- row
  if (run$plan$verbose) message(sprintf("iteration %d of %d points: log likelihood %.3f", run$n_iterations, n,
                                        found$log_likelihood))
}
