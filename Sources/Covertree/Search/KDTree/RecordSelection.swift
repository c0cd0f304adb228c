import CNumerics

/// The most coordinates among which a rank is found by comparing each with all.
private let comparedKeys = 48
/// The most coordinates from which a pivot is chosen.
let largestSample = 1024

/// Moves the points that come first along a coordinate, equal ones by row, before a given position.
///
/// R. W. Floyd and R. L. Rivest, "Expected time bounds for selection", CACM 18 (1975). The pivot comes from a sample, and is a little to
/// the side of the position with more points, which leaves few points. The moves are about one and a half times the points.
///
/// - Parameter partition: moves the points below a pivot to the front and returns their number.
@inline(__always)
func select<R: PointRecords, S, Failure: Error>(
  _ target: Int, in positions: Range<Int>, along d: Int, _ records: R, _ scratch: CutScratch<S>,
  _ partition: (Range<Int>, S) throws(Failure) -> Int
) throws(Failure) where R.S == S {
  var (low, high) = (positions.lowerBound, positions.upperBound)
  var round = 0
  while low < target, target < high {
    let pivot = pivot(target, in: low..<high, along: d, records, scratch, round)
    round &+= 1
    let reached = low + (try partition(low..<high, pivot))
    if reached >= target {
      // No point is left only if another thread writes to the points.
      if reached == high { return }
      high = reached
    } else if reached > low {
      low = reached
    } else {
      // The pivot is the least coordinate: points equal to it are next.
      let next = low + (try partition(low..<high, pivot.nextUp))
      if next == low { return }
      if next >= target { return selectRows(target, in: low..<next, records, scratch) }
      low = next
    }
  }
}

/// A pivot that divides some points near a position, or exactly there if they are few.
@inline(__always)
private func pivot<R: PointRecords, S>(
  _ target: Int, in positions: Range<Int>, along d: Int, _ records: R, _ scratch: CutScratch<S>, _ round: Int
) -> S where R.S == S {
  let (count, before) = (positions.count, target - positions.lowerBound)
  if count <= comparedKeys {
    for key in 0..<count { scratch.sample[key] = records.coordinate(positions.lowerBound &+ key, d) }
    return fewRanked(scratch.sample, count, before)
  }
  let size = count < 512 ? 16 : (count < 4096 ? 32 : min(largestSample, count / 64))
  fillSample(scratch.sample, size, positions, round) { records.coordinate($0, d) }
  let share = Double(before) / Double(count)
  let deviation = (Double(size) * share * (1 - share)).squareRoot()
  let rank = Double(size) * share + (share <= 0.5 ? deviation : -deviation)
  let nearest = max(0, min(size - 1, Int(rank)))
  return size <= comparedKeys ? fewRanked(scratch.sample, size, nearest) : ranked(scratch.sample, size, nearest)
}

/// Reads one number from a random position of each of equal intervals: periodic data must not give a sample of equal numbers.
@inline(__always)
private func fillSample<Number>(
  _ sample: UnsafeMutablePointer<Number>, _ size: Int, _ positions: Range<Int>, _ round: Int, _ number: (Int) -> Number
) {
  let interval = positions.count / size
  var noise = UInt32(truncatingIfNeeded: round &* 0x2545_F491 &+ 0x9E37_79B9)
  for position in 0..<size {
    noise = noise &* 1_664_525 &+ 1_013_904_223
    let within = Int(UInt64(noise) &* UInt64(truncatingIfNeeded: interval) &>> 32)
    sample[position] = number(positions.lowerBound &+ position &* interval &+ within)
  }
}

/// The number of a rank among at most `comparedKeys`.
@inline(__always)
private func fewRanked<S: Scalar>(_ keys: UnsafeMutablePointer<S>, _ count: Int, _ rank: Int) -> S {
  S(cn_ranked(S.self == Double.self, keys, count, rank))
}

/// The number of a rank by Hoare's selection, which reorders the numbers.
private func ranked<Number: Comparable>(_ numbers: UnsafeMutablePointer<Number>, _ count: Int, _ rank: Int) -> Number {
  var (low, high) = (0, count - 1)
  while low < high {
    let pivot = numbers[low + (high - low) / 2]
    var (left, right) = (low, high)
    while left <= right {
      while numbers[left] < pivot { left += 1 }
      while pivot < numbers[right] { right -= 1 }
      if left <= right {
        swap(&numbers[left], &numbers[right])
        (left, right) = (left + 1, right - 1)
      }
    }
    if rank <= right {
      high = right
    } else if rank >= left {
      low = left
    } else {
      break
    }
  }
  return numbers[rank]
}

/// As `select`, by row, for points with equal coordinates.
func selectRows<R: PointRecords, S>(
  _ target: Int, in positions: Range<Int>, _ records: R, _ scratch: CutScratch<S>
) where R.S == S {
  var (low, high) = (positions.lowerBound, positions.upperBound)
  var round = 0
  let sample = UnsafeMutableRawPointer(scratch.sample).assumingMemoryBound(to: Int32.self)
  while low < target, target < high {
    let size = min(comparedKeys, high - low)
    fillSample(sample, size, low..<high, round) { records.row($0) }
    round += 1
    let pivot = ranked(sample, size, size * (target - low) / (high - low))
    let reached = low + records.partition(low..<high, belowRow: pivot, scratch.aside)
    if reached > target {
      high = reached
    } else {
      // If the pivot is the least row, it comes first and is done.
      low = reached > low ? reached : low + records.partition(low..<high, belowRow: pivot + 1, scratch.aside)
    }
  }
}
