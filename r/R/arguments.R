# Checks of arguments. Each returns the argument as the package uses it.

# Points as a matrix, without a copy of one. C code checks that the numbers are finite.
as_points <- function(x, name, columns = NULL) {
  if (inherits(x, c("sf", "sfc"))) x <- sf_points(x, name)
  if (is.data.frame(x)) x <- as.matrix(x)
  if (!is.numeric(x) || length(dim(x)) > 2L) {
    raise(sprintf("%s: expected a matrix of numbers, got %s", name, described(x)))
  }
  if (length(dim(x)) < 2L) x <- matrix(x, ncol = 1L)
  if (!is.null(columns) && ncol(x) != columns) {
    raise(sprintf("%s: expected %d columns, got %d", name, columns, ncol(x)))
  }
  x
}

sf_points <- function(x, name) {
  geometry <- sf::st_geometry(x)
  if (!inherits(geometry, "sfc_POINT")) {
    raise(sprintf("%s: expected points, got %s", name, class(geometry)[[1L]]))
  }
  sf::st_coordinates(geometry)[, c("X", "Y"), drop = FALSE]
}

is_lonlat <- function(x) inherits(x, c("sf", "sfc")) && isTRUE(sf::st_is_longlat(x))

as_flag <- function(x, name) {
  if (!isTRUE(x) && !isFALSE(x)) {
    raise(sprintf("%s: expected TRUE or FALSE, got %s", name, described(x)))
  }
  x
}

as_count <- function(x, name, minimum = 0, maximum = .Machine$integer.max - 1) {
  if (!is.numeric(x) || length(x) != 1L || is.na(x) || x != trunc(x) || x < minimum || x > maximum) {
    span <- if (maximum < .Machine$integer.max - 1) sprintf("%.0f to %.0f", minimum, maximum)
            else sprintf("%.0f or more", minimum)
    raise(sprintf("%s: expected a whole number, %s, got %s", name, span, described(x)))
  }
  as.integer(x)
}

# Positive, finite numbers. `lengths` has the accepted lengths.
as_positive <- function(x, name, lengths = 1L) {
  if (!is.numeric(x) || !(length(x) %in% lengths) || !all(is.finite(x) & x > 0)) {
    wanted <- if (identical(lengths, 1L)) "a finite number above 0"
              else sprintf("%s finite numbers above 0", paste(unique(lengths), collapse = " or "))
    got <- if (is.numeric(x) && length(x) > 1L) paste(format(x), collapse = ", ") else described(x)
    raise(sprintf("%s: expected %s, got %s", name, wanted, got))
  }
  as.double(x)
}

as_choice <- function(x, name, choices) {
  if (!is.character(x) || length(x) != 1L || !(x %in% choices)) {
    wanted <- paste(dQuote(choices, FALSE), collapse = ", ")
    raise(sprintf("%s: expected one of %s, got %s", name, wanted, described(x)))
  }
  x
}

# A permutation of the rows from 1 to n, as integers.
as_order <- function(x, name, n) {
  if (!is.numeric(x) || length(x) != n || !identical(sort(as.integer(x)), seq_len(n))) {
    raise(sprintf("%s: expected every number from 1 to %d once, got others", name, n))
  }
  as.integer(x)
}

# Neighbours of GpGp, as integers. C code checks that they come before their points.
as_neighbors <- function(x, name, n = NULL) {
  if (!is.numeric(x) || length(dim(x)) != 2L || (!is.null(n) && nrow(x) != n)) {
    wanted <- if (is.null(n)) "a matrix" else sprintf("a matrix of %d rows", n)
    raise(sprintf("%s: expected %s of row numbers, got %s", name, wanted, described(x)))
  }
  if (ncol(x) < 1L || !isTRUE(all(x[, 1L] == seq_len(nrow(x))))) {
    raise(sprintf("%s: expected the number of each row in its first column", name))
  }
  storage.mode(x) <- "integer"
  x
}

# Evaluates with a seed, and leaves R's generator as it was.
with_seed <- function(seed, value) {
  old <- globalenv()$.Random.seed
  on.exit(if (is.null(old)) rm(".Random.seed", envir = globalenv())
          else assign(".Random.seed", old, globalenv()))
  set.seed(seed, kind = "Mersenne-Twister", normal.kind = "Inversion", sample.kind = "Rejection")
  value
}
