/// The nearest point of each lane.
///
/// A lane keeps the point with the least sum in the filter, and the next sum. If rounding could have swapped the two, or they
/// are equal, the lane is *undecided* and is searched by itself.
struct PacketNearest<S: Scalar>: PacketHandler {
  enum Outcome {
    case nothing
    /// A position, and the score that decides.
    case found(Int, score: Double)
    case undecided
  }

  private let rounding: RoundingBound<S>
  private var wanted = S.Lanes(repeating: -1)
  private var nearest = S.Lanes(repeating: .infinity)
  private var next = S.Lanes(repeating: .infinity)
  private var positions = S.Positions(repeating: -1)
  /// A bit for each lane that was given up.
  private var givenUp = UInt32(0)

  init(_ rounding: RoundingBound<S>) { self.rounding = rounding }

  @inline(__always)
  var threshold: S.Lanes { S.minimum(wanted, rounding.upperBound(ofFiltered: nearest)) }

  /// Starts from the points that the last queries found, which are near to these. They bound the search.
  @inline(__always)
  mutating func begin<D: MetricSpace>(_ search: borrowing PacketSearch<S, D>) {
    var seen = S.Lanes(repeating: .infinity)
    for lane in 0..<S.width where positions[lane] >= 0 {
      seen = S.minimum(seen, search.sums(to: Int(positions[lane])))
    }
    wanted = S.minimum(search.limits, rounding.upperBound(ofFiltered: seen))
    givenUp = 0
    nearest = S.Lanes(repeating: .infinity)
    next = nearest
    positions = S.Positions(repeating: -1)
  }

  @inline(__always)
  mutating func collect(_ sums: S.Lanes, _ position: Int) {
    next = S.minimum(next, S.maximum(nearest, sums))
    positions = S.position(Int32(truncatingIfNeeded: position), whereLess: sums, nearest, positions)
    nearest = S.minimum(sums, nearest)
  }

  @inline(never)
  mutating func giveUpUndecided() {
    for lane in 0..<S.width
    where nearest[lane] < .infinity && next[lane] <= rounding.upperBound(ofFiltered: nearest[lane]) {
      wanted[lane] = -1
      givenUp |= 1 &<< UInt32(truncatingIfNeeded: lane)
    }
  }

  /// The result of the query that was added as the `lane`-th.
  @inline(__always)
  func outcome<D: MetricSpace>(_ lane: Int, of search: borrowing PacketSearch<S, D>) -> Outcome {
    if givenUp & (1 &<< UInt32(truncatingIfNeeded: lane)) != 0 { return .undecided }
    guard nearest[lane] <= wanted[lane] else { return .nothing }
    guard next[lane] > rounding.upperBound(ofFiltered: nearest[lane]) else { return .undecided }
    let position = Int(positions[lane])
    return .found(position, score: search.score(lane, position))
  }
}
