/// For each point of a model those within a squared residual-correlation distance of it, by places.
final class NeighborGraph: @unchecked Sendable {
  /// Of each place: where its neighbours begin and end.
  private let begin: Buffer<Int>
  private let end: Buffer<Int>
  private let places: Buffer<Int32>
  private let squares: Buffer<Double>

  /// What one thread has found.
  final class Part {
    fileprivate let owners: Stack<Int32>
    fileprivate let counts: Stack<Int32>
    fileprivate let places: Stack<Int32>
    fileprivate let squares: Stack<Double>

    init() throws(CoverTreeError) {
      (owners, counts) = (try Stack(), try Stack())
      (places, squares) = (try Stack(), try Stack())
    }

    /// The neighbours of a point follow.
    func begin(place: Int32) throws(CoverTreeError) {
      try owners.append(place)
      try counts.append(0)
    }

    @inline(__always)
    func append(_ place: Int32, _ squared: Double) throws(CoverTreeError) {
      try places.append(place)
      try squares.append(squared)
      counts[counts.count - 1] += 1
    }
  }

  /// - Parameter parts: every point is in one of them.
  init(_ parts: [Part], count: Int) throws(CoverTreeError) {
    begin = try Buffer(count: count)
    end = try Buffer(count: count)
    let total = parts.reduce(0) { $0 + $1.places.count }
    places = try Buffer(count: total)
    squares = try Buffer(count: total)
    var next = 0
    for part in parts {
      (places.base + next).update(from: part.places.base, count: part.places.count)
      (squares.base + next).update(from: part.squares.base, count: part.places.count)
      for (slot, owner) in part.owners.elements.enumerated() {
        begin[owner] = next
        next += Int(part.counts[slot])
        end[owner] = next
      }
    }
  }

  /// Calls `body` with the neighbours of a point, in any order.
  @inline(__always)
  func forEach(of place: Int32, _ body: (_ place: Int32, _ squared: Double) throws(CoverTreeError) -> Void)
    throws(CoverTreeError)
  {
    for slot in begin[place]..<end[place] { try body(places[slot], squares[slot]) }
  }
}
