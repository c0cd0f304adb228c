import Testing

@testable import Covertree
@testable import CovertreeBase

/// Seeded points and a brute force, written apart from the library.
struct PointSet<S: Scalar> {
  let count: Int
  let dim: Int
  let values: [S]

  /// Sums of uniform numbers: normal enough.
  init(count: Int, dim: Int, seed: UInt64, duplicated: Bool = false) {
    var generator = SeededGenerator(seed: seed)
    var values = (0..<count * dim).map { _ in
      S((0..<6).reduce(0.0) { sum, _ in sum + Double.random(in: -1...1, using: &generator) })
    }
    if duplicated {
      for row in count / 2..<count {
        for d in 0..<dim { values[row * dim + d] = values[(row - count / 2) * dim + d] }
      }
    }
    self.init(count: count, dim: dim, values: values)
  }

  init(count: Int, dim: Int, values: [S]) {
    self.count = count
    self.dim = dim
    self.values = values
  }

  func withView<R>(_ body: (PointsView<S>) throws -> R) rethrows -> R {
    try values.withUnsafeBufferPointer { try body(PointsView(base: $0.baseAddress!, count: count, dim: dim)) }
  }

  func squared(_ i: Int, _ other: PointSet, _ j: Int) -> Double {
    (0..<dim).reduce(0.0) { sum, d in
      let difference = Double(values[i * dim + d]) - Double(other.values[j * dim + d])
      return sum + difference * difference
    }
  }

  /// Rows of `self` by (distance, index) from one row of `queries`.
  func sorted(from queries: PointSet, _ row: Int) -> [Int] {
    let distances = (0..<count).map { squared($0, queries, row) }
    return (0..<count).sorted { (distances[$0], $0) < (distances[$1], $1) }
  }

  /// A tree behind the interface of the core.
  func tree(_ options: TreeOptions = TreeOptions(), threads: Int = 2) throws -> AnyCoverTree {
    try withView { try AnyCoverTree.build($0.erased, options: options, context: CallContext(threads: threads)) }
  }
}

extension PointsView {
  /// The same points, as the interface of the core accepts them.
  var erased: AnyPoints {
    if let view = self as? PointsView<Float> { return .float32(view) }
    return .float64(self as! PointsView<Double>)
  }
}

extension AnyCoverTree {
  var float32: CoverTree<Float>? {
    if case .float32(let tree) = self { tree } else { nil }
  }
}

/// The error that a call throws; a failure of the test when it throws none.
func failure(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) -> CoverTreeError? {
  do {
    try body()
    Issue.record("expected an error", sourceLocation: sourceLocation)
    return nil
  } catch {
    return error as? CoverTreeError
  }
}
