# Kernels of the library, and covariance functions of GpGp.

SHAPES <- c(rbf = 0L, matern12 = 1L, matern32 = 2L, matern52 = 3L)

# GpGp's ranges are the lengthscales here divided by these.
GPGP_SHAPES <- c(exponential = "matern12", matern15 = "matern32", matern25 = "matern52")
GPGP_FACTORS <- sqrt(c(exponential = 1, matern15 = 3, matern25 = 5))
GPGP_FORMS <- c("isotropic", "scaledim", "spacetime", "sphere", "spheretime")

# The library's number of a kernel, and the factor from its ranges to lengthscales.
kernel_of <- function(kernel) {
  if (is.character(kernel) && length(kernel) == 1L) {
    if (kernel %in% names(SHAPES)) return(list(shape = SHAPES[[kernel]], factor = 1))
    parts <- strsplit(kernel, "_", fixed = TRUE)[[1L]]
    if (length(parts) == 2L && parts[[1L]] %in% names(GPGP_SHAPES) && parts[[2L]] %in% GPGP_FORMS) {
      shape <- SHAPES[[GPGP_SHAPES[[parts[[1L]]]]]]
      return(list(shape = shape, factor = GPGP_FACTORS[[parts[[1L]]]]))
    }
  }
  known <- c(names(SHAPES), "exponential_isotropic", "matern15_isotropic", "matern25_scaledim")
  raise(sprintf("kernel: expected one like %s, got %s", paste(dQuote(known, FALSE), collapse = ", "),
                described(kernel)))
}

# One lengthscale for each of `dim` columns, from one range, from one for each column, or from two: of space, and of time, which is
# the last column.
lengthscales_of <- function(ranges, dim, name) {
  n <- length(ranges)
  if (n == dim) return(ranges)
  if (n == 1L) return(rep(ranges, dim))
  if (n == 2L) return(rep(ranges, c(dim - 1L, 1L)))
  raise(sprintf("%s: expected 1 range, 2 of space and time, or %d, one for each column, got %d", name, dim, n))
}

# A process as C code reads it.
process_of <- function(shape, variance, lengthscale, inducing = NULL, noise = 0, jitter = 1e-6) {
  if (length(inducing) == 0L) inducing <- NULL
  list(shape, as.double(variance), as.double(lengthscale), inducing, jitter, as.double(noise))
}
