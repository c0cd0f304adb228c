# Neighbours in the formats of spNNGP and BRISC.

neighbor_info <- function(NNarray, ord) {
  NNarray <- as_neighbors(NNarray, "NNarray")
  n <- nrow(NNarray)
  ord <- as_order(ord, "ord", n)
  sets <- full_sets(NNarray)
  sizes <- pmin(seq_len(n) - 1L, ncol(sets))
  by_point <- t(sets)
  members <- by_point[!is.na(by_point)]
  list(
    n.neighbors = ncol(sets),
    n.indx = unname(split(members, factor(rep(seq_len(n), sizes), levels = seq_len(n)))),
    nn.indx = members - 1L,
    nn.indx.lu = c(as.integer(cumsum(sizes) - sizes), sizes),
    ord = ord
  )
}

brisc_neighbor <- function(NNarray, coords) {
  NNarray <- as_neighbors(NNarray, "NNarray")
  coords <- as_points(coords, "coords", columns = 2L)
  if (nrow(coords) != nrow(NNarray)) {
    raise(sprintf("coords: expected %d rows, one for each of NNarray, got %d", nrow(NNarray), nrow(coords)))
  }
  storage.mode(coords) <- "double"
  found <- result_of(.Call(ctr_brisc, coords, full_sets(NNarray)), c(neighbors = "NNarray"))
  # BRISC writes the number of distances to an element of this name.
  c(found, list(j = found$Length.D))
}

# The sets without the points themselves. Both packages read a fixed number for each row.
full_sets <- function(NNarray) {
  n <- nrow(NNarray)
  sets <- NNarray[, -1L, drop = FALSE]
  sizes <- pmin(seq_len(n) - 1L, ncol(sets))
  wanted <- col(sets) <= sizes
  bad <- which(is.na(sets) == wanted | (wanted & !is.na(sets) & (sets < 1L | sets >= row(sets))))
  if (length(bad)) {
    row <- min((bad - 1L) %% n) + 1L
    raise(sprintf("NNarray[%d, ]: expected %d numbers below %d, then NA, got others", row, sizes[[row]], row))
  }
  sets
}
