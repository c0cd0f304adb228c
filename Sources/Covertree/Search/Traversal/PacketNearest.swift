/// The nearest point of each lane.
///
/// A lane knows the point that shows least and what the next one shows. Where rounding could have put the two in the wrong
/// order, or they are equally near, the lane is *undecided* and has to be searched for by itself.
struct PacketNearest<S: Scalar>: PacketHandler {
  enum Outcome {
    case nothing
    /// A position, and the score that decisions are made by.
    case found(Int, squared: Double)
    case undecided
  }

  private let rounding: RoundingBound<S>
  private var wanted = S.Lanes(repeating: -1)
  private var nearest = S.Lanes(repeating: .infinity)
  private var next = S.Lanes(repeating: .infinity)
  private var positions = S.Positions(repeating: -1)
  /// Lanes that were given up, a bit each.
  private var givenUp = UInt32(0)

  init(_ rounding: RoundingBound<S>) { self.rounding = rounding }

  @inline(__always)
  var threshold: S.Lanes { S.minimum(wanted, rounding.upperBound(ofFiltered: nearest)) }

  /// The points that the last queries found are near to these, and none is wanted that is farther away.
  @inline(__always)
  mutating func begin<D: Dimension>(_ search: borrowing PacketSearch<S, D>) {
    var seen = S.Lanes(repeating: .infinity)
    for lane in 0..<S.width where positions[lane] >= 0 {
      seen = S.minimum(seen, search.squaredDistances(to: Int(positions[lane])))
    }
    wanted = S.minimum(search.limits, rounding.upperBound(ofFiltered: seen))
    givenUp = 0
    nearest = S.Lanes(repeating: .infinity)
    next = nearest
    positions = S.Positions(repeating: -1)
  }

  @inline(__always)
  mutating func collect(_ squared: S.Lanes, _ position: Int) {
    next = S.minimum(next, S.maximum(nearest, squared))
    positions = S.position(Int32(truncatingIfNeeded: position), whereLess: squared, nearest, positions)
    nearest = S.minimum(squared, nearest)
  }

  @inline(never)
  mutating func giveUpUndecided() {
    for lane in 0..<S.width
    where nearest[lane] < .infinity && next[lane] <= rounding.upperBound(ofFiltered: nearest[lane]) {
      wanted[lane] = -1
      givenUp |= 1 &<< UInt32(truncatingIfNeeded: lane)
    }
  }

  /// What the search found for the query that was added as the `lane`-th.
  @inline(__always)
  func outcome<D: Dimension>(_ lane: Int, of search: borrowing PacketSearch<S, D>) -> Outcome {
    if givenUp & (1 &<< UInt32(truncatingIfNeeded: lane)) != 0 { return .undecided }
    guard nearest[lane] <= wanted[lane] else { return .nothing }
    guard next[lane] > rounding.upperBound(ofFiltered: nearest[lane]) else { return .undecided }
    let position = Int(positions[lane])
    return .found(position, squared: search.squared(lane, position))
  }
}
