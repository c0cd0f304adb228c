import CovertreeBase

/// Points whose coordinate type is known only at run time.
public enum AnyPoints: Sendable {
  case float32(PointsView<Float>)
  case float64(PointsView<Double>)
}

extension AnyPoints {
  public var count: Int {
    switch self {
    case .float32(let view): view.count
    case .float64(let view): view.count
    }
  }

  public var dim: Int {
    switch self {
    case .float32(let view): view.dim
    case .float64(let view): view.dim
    }
  }

  /// The distance from 1 to the next number of the type.
  var ulp: Double {
    switch self {
    case .float32: Double(Float.ulpOfOne)
    case .float64: Double.ulpOfOne
    }
  }

  func copyRows(
    _ sequence: Buffer<Int32>, into target: UnsafeMutablePointer<Double>, stride: Int, named name: String,
    context: CallContext
  ) throws(CoverTreeError) {
    switch self {
    case .float32(let view): try view.copyRows(sequence, into: target, stride: stride, named: name, context)
    case .float64(let view): try view.copyRows(sequence, into: target, stride: stride, named: name, context)
    }
  }
}

extension PointsView {
  fileprivate func copyRows(
    _ sequence: Buffer<Int32>, into target: UnsafeMutablePointer<Double>, stride: Int, named name: String,
    _ context: CallContext
  ) throws(CoverTreeError) {
    try checkCoordinates(named: name, context: context)
    try context.forEach(sequence.count, grain: 1024) { (range, _) throws(CoverTreeError) in
      for position in range {
        let from = row(Int(sequence[position]))
        let copy = target + position * stride
        for column in 0..<dim { copy[column] = Double(from[column]) }
        guard isUsable(UnsafePointer(copy), dim, within: S.coordinateLimit) else { throw .changing(name) }
      }
    }
  }
}
