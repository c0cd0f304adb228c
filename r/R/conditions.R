# Failures of the library as conditions of R, in R's words: arguments by their names here, numbers from 1.

# The result of a routine, or the condition of its failure. `names` are the arguments here by the library's names for them.
result_of <- function(result, names = character()) {
  if (!inherits(result, "covertree_failure")) return(result)
  if (result[[1L]] == CANCELLED) interrupt()
  raise(in_words_of_r(result[[2L]], names))
}

CANCELLED <- 51L

# The only callback of the package cancels a call if the user has interrupted R.
interrupt <- function() {
  condition <- structure(class = c("interrupt", "condition"), list(message = "", call = NULL))
  signalCondition(condition)
  invokeRestart("abort")
}

# An error of class covertree_error. Its `argument` is the text before the colon, and its call is of a public function.
raise <- function(message) {
  argument <- sub("(:|\\[).*$", "", message)
  stop(errorCondition(message, class = "covertree_error", argument = argument, call = public_call()))
}

# The innermost running call of a function that users know.
public_call <- function() {
  package <- topenv()
  known <- c(getNamespaceExports(package), getNamespaceInfo(package, "S3methods")[, 3L])
  for (frame in rev(seq_len(sys.nframe()))) {
    name <- sub("^covertree::+", "", deparse(sys.call(frame)[[1L]])[[1L]])
    if (name %in% known && identical(topenv(environment(sys.function(frame))), package)) return(sys.call(frame))
  }
}

in_words_of_r <- function(message, names) {
  argument <- sub("[^a-z_].*$", "", message)
  if (argument %in% names(names)) message <- sub(argument, names[[argument]], message, fixed = TRUE)
  for (pattern in c("^[A-Za-z_.]+\\[[0-9, ]+\\]", "\\bpoints? [0-9]+( and [0-9]+)?")) {
    found <- regexpr(pattern, message, perl = TRUE)
    if (found > 0L) regmatches(message, found) <- from_one(regmatches(message, found))
  }
  message
}

# A text whose numbers are one larger.
from_one <- function(text) {
  found <- gregexpr("[0-9]+", text)
  regmatches(text, found) <- lapply(regmatches(text, found), function(n) format(as.numeric(n) + 1))
  text
}

# A value in an error.
described <- function(x) {
  if (is.null(x)) return("NULL")
  if (is.atomic(x) && length(x) == 1L) return(deparse(x))
  if (length(dim(x)) == 2L) return(sprintf("a %s of %d x %d", class(x)[[1L]], nrow(x), ncol(x)))
  sprintf("a %s of length %d", class(x)[[1L]], length(x))
}
