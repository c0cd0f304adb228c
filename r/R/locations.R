# Locations as points of a space: longitudes and latitudes are points of the unit sphere.

# The points, and the number that each column is divided by; NULL for 1.
located <- function(locs, lonlat, st_scale = NULL) {
  force(lonlat)
  points <- as_points(locs, "locs")
  as_flag(lonlat, "lonlat")
  has_time <- !lonlat || ncol(points) > 2L
  if (lonlat) points <- on_sphere(points, "locs")
  if (is.null(st_scale)) return(list(points = points, scale = NULL))
  st_scale <- as_positive(st_scale, "st_scale", 2L)
  if (!has_time || ncol(points) < 2L) {
    raise("st_scale: expected NULL, as locs has no column for the time")
  }
  list(points = points, scale = rep(st_scale, c(ncol(points) - 1L, 1L)))
}

# Degrees of longitude and latitude to x, y, z; a third column stays.
on_sphere <- function(points, name) {
  if (!(ncol(points) %in% 2:3)) {
    raise(sprintf("%s: expected 2 or 3 columns with lonlat = TRUE, got %d", name, ncol(points)))
  }
  bad <- which(!is.finite(points[, 1L]) | !(abs(points[, 2L]) <= 90))
  if (length(bad)) {
    got <- paste(format(points[bad[[1L]], 1:2]), collapse = ", ")
    wanted <- "expected a longitude and a latitude from -90 to 90"
    raise(sprintf("%s[%d, ]: %s, got %s", name, bad[[1L]], wanted, got))
  }
  lon <- points[, 1L] * (pi / 180)
  lat <- points[, 2L] * (pi / 180)
  cbind(x = cos(lat) * cos(lon), y = cos(lat) * sin(lon), z = sin(lat), points[, -(1:2), drop = FALSE])
}
