import CovertreeBase

/// The points of a model in float32, about their middle, for correlations of the kernel from products of coordinates.
///
/// The farther a point is from the middle, the more digits are lost. Few points far outside of the others would spoil the bound for all:
/// estimates with them count as unknown.
///
/// Memory: `4 dim + 12` bytes a point.
struct CentredPoints {
  /// A point is outside if its squared length is this multiple of the median.
  private static let farthest = 64.0
  /// If more than this share of the points were outside, none is.
  private static let largestShare = 1.0 / 4096
  private static let leastOutside = 4

  /// The middle of all points.
  private let middle: [Double]
  let coordinates: Panels<Float>
  /// Of the coordinates, before they are rounded; whole vectors.
  let squaredLengths: Buffer<Float>
  /// The largest squared length of points that are not outside.
  let reach: Double
  /// Infinite for points outside, 0 for others; whole vectors.
  let unknown: Buffer<Float>
  /// `sqrt(variance / p_j)`; whole vectors.
  let scales: Buffer<Float>

  /// - Parameters:
  ///   - points: `count x dim`.
  ///   - unit: the square root of the variance.
  init(_ points: Buffer<Double>, dim: Int, _ residualVariance: Buffer<Double>, unit: Double) throws(CoverTreeError) {
    let count = residualVariance.count
    middle = (0..<dim).map { d in
      (0..<count).reduce(0) { $0 + points[$1 * dim + d] / Double(count) }
    }
    coordinates = try Panels(rows: count, columns: dim)
    squaredLengths = try Buffer(count: (count + 15) / 16 * 16, filledWith: 0)
    scales = try Buffer(count: (count + 15) / 16 * 16, filledWith: 0)
    unknown = try Buffer(count: (count + 15) / 16 * 16, filledWith: 0)
    let lengths = try Buffer<Double>(count: count)
    for position in 0..<count {
      let squared = Self.fill(points.base + position * dim, middle, coordinates.view.row(position))
      lengths[position] = squared
      squaredLengths[position] = Float(squared)
      scales[position] = Float(unit / residualVariance[position].squareRoot())
    }
    let most = Self.limit(lengths.elements)
    reach = lengths.elements.reduce(0) { $1 <= most ? max($0, $1) : $0 }
    for position in 0..<count where lengths[position] > most { unknown[position] = .infinity }
  }

  /// The squared length beyond which points are outside.
  private static func limit(_ lengths: UnsafeBufferPointer<Double>) -> Double {
    // A sample suffices for the median.
    let sample = stride(from: 0, to: lengths.count, by: max(1, lengths.count / 1024)).map { lengths[$0] }.sorted()
    guard !sample.isEmpty else { return 0 }
    let limit = farthest * sample[sample.count / 2]
    let outside = lengths.reduce(0) { $1 > limit ? $0 + 1 : $0 }
    return outside <= max(leastOutside, Int(largestShare * Double(lengths.count))) ? limit : .infinity
  }

  /// Writes the centred coordinates of a point, `dim` numbers of a panel. Returns their squared length.
  func fill(_ point: UnsafePointer<Double>, _ row: UnsafeMutablePointer<Float>) -> Double {
    Self.fill(point, middle, row)
  }

  private static func fill(
    _ point: UnsafePointer<Double>, _ middle: [Double], _ row: UnsafeMutablePointer<Float>
  ) -> Double {
    var squared = 0.0
    for d in 0..<middle.count {
      let coordinate = point[d] - middle[d]
      row[d * PanelView<Float>.panelRows] = Float(coordinate)
      squared += coordinate * coordinate
    }
    return squared
  }

  var byteCount: Int { coordinates.byteCount + squaredLengths.byteCount + scales.byteCount + unknown.byteCount }
}
