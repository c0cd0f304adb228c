# Formulas: y ~ trend | s(coordinates), where trend is as in lm().

# The response, the columns of the trend, the locations, and the description by which predictions find them in new data.
parsed <- function(formula, data) {
  side <- split_formula(formula, data)
  where <- environment(formula)
  frame <- model.frame(side$trend, data, na.action = NULL)
  locs <- locations_in(side$space, data, where)
  y <- model.response(frame)
  if (!is.numeric(y) || length(dim(y)) > 1L) {
    raise(sprintf("formula: expected a numeric response, got %s", described(y)))
  }
  design <- attr(frame, "terms")
  X <- model.matrix(design, frame)
  used <- is.finite(y) & stats::complete.cases(as.data.frame(frame)) & rowSums(!is.finite(locs)) == 0L
  if (length(used) != nrow(locs)) {
    raise(sprintf("formula: expected %d locations, one for each response, got %d", length(used), nrow(locs)))
  }
  list(
    y = as.vector(y[used]), X = if (ncol(X)) X[used, , drop = FALSE], locs = locs[used, , drop = FALSE],
    model = list(terms = design, space = side$space, xlev = stats::.getXlevels(design, frame),
                 contrasts = attr(X, "contrasts"), environment = where)
  )
}

# The formula of the trend, and the expressions of the coordinates; NULL for the geometry of an sf object.
split_formula <- function(formula, data) {
  right <- formula[[length(formula)]]
  has_bar <- is.call(right) && identical(right[[1L]], quote(`|`))
  if (length(formula) != 3L || (!has_bar && !inherits(data, "sf"))) {
    raise(sprintf("formula: expected y ~ trend | s(coordinates), got %s", deparse(formula)[[1L]]))
  }
  if (!has_bar) return(list(trend = formula, space = NULL))
  space <- right[[3L]]
  if (!is.call(space) || !identical(space[[1L]], quote(s)) || length(space) < 2L) {
    raise(sprintf("formula: expected s(coordinates) after the bar, got %s", deparse(space)[[1L]]))
  }
  formula[[3L]] <- right[[2L]]
  list(trend = formula, space = as.list(space)[-1L])
}

locations_in <- function(space, data, where) {
  if (is.null(space)) return(as_points(data, "data"))
  columns <- lapply(space, eval, data, where)
  names(columns) <- vapply(space, function(one) deparse(one)[[1L]], "")
  as.matrix(as.data.frame(columns, optional = TRUE))
}

# The columns of the trend and the locations in new data.
parsed_new <- function(model, newdata) {
  if (!is.data.frame(newdata)) {
    raise(sprintf("newdata: expected a data frame, got %s", described(newdata)))
  }
  design <- delete.response(model$terms)
  frame <- model.frame(design, newdata, na.action = NULL, xlev = model$xlev)
  X <- model.matrix(design, frame, contrasts.arg = model$contrasts)
  list(X = if (ncol(X)) X, locs = locations_in(model$space, newdata, model$environment))
}
