sets <- rbind(c(1L, NA, NA), c(2L, 1L, NA), c(3L, 2L, 1L), c(4L, 1L, 3L))

test_that("spNNGP gets ranks from 0, one set after the other", {
  info <- neighbor_info(sets, c(3L, 4L, 1L, 2L))
  expect_identical(info$n.neighbors, 2L)
  expect_identical(info$nn.indx, c(0L, 1L, 0L, 0L, 2L))
  expect_identical(info$nn.indx.lu, c(0L, 0L, 1L, 3L, 0L, 1L, 2L, 2L))
  expect_identical(info$ord, c(3L, 4L, 1L, 2L))
  expect_identical(info$n.indx, list(integer(), 1L, c(2L, 1L), c(1L, 3L)))
})

test_that("BRISC gets the distances of the sets", {
  coords <- uniform(30, 2)
  found <- brisc_neighbor(ordered_neighbors(coords, 4), coords)
  distances <- distances_between(coords, coords)
  for (i in 2:30) {
    first <- found$nnIndxLU[[i]]
    count <- found$nnIndxLU[[30 + i]]
    expect_identical(count, min(i - 1L, 4L))
    members <- found$nnIndx[first + seq_len(count)] + 1L
    expect_identical(members, ordered_neighbors(coords, 4)[i, 1L + seq_len(count)])
    expect_equal(found$d[first + seq_len(count)], distances[i, members])
    expect_identical(found$CIndx[[30 + i]], count * count)
    between <- matrix(found$D[found$CIndx[[i]] + seq_len(count^2)], count)
    lower <- lower.tri(between)
    expect_equal(between[lower], distances[members, members, drop = FALSE][lower])
  }
  expect_identical(found$Length.D, length(found$D))
  expect_identical(found$j, found$Length.D)
})

test_that("sets that the packages would misread are refused", {
  short <- sets
  short[4L, 3L] <- NA
  expect_wrong(neighbor_info(short, 1:4), "NNarray", "NNarray[4, ]: expected 2 numbers below 4, then NA, got others")
  late <- sets
  late[3L, 2L] <- 3L
  expect_wrong(neighbor_info(late, 1:4), "NNarray")
  expect_wrong(neighbor_info(sets[, 2:3], 1:4), "NNarray", "the number of each row in its first column")
  expect_wrong(neighbor_info(sets, c(1, 2, 3, 3)), "ord", "every number from 1 to 4 once")
  expect_wrong(brisc_neighbor(sets, matrix(0, 3, 2)), "coords", "expected 4 rows, one for each of NNarray, got 3")
  expect_wrong(brisc_neighbor(sets, matrix(0, 4, 3)), "coords", "expected 2 columns, got 3")
})
