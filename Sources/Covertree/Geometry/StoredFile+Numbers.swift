import CovertreeBase
import CovertreeFiles

extension StoredFile {
  /// A section of coordinates or similar numbers. NaN is rejected: searches would end, but structures built from it would be wrong.
  func numbers<S: Scalar & StorableElement>(
    _ name: String, rows: Int? = nil, columns: Int = 1, within limit: S = .greatestFiniteMagnitude, context: CallContext
  ) throws(CoverTreeError) -> Buffer<S> {
    let numbers: Buffer<S> = try buffer(name, rows: rows, columns: columns)
    let view = PointsView(numbers, count: numbers.count / max(1, columns), dim: columns)
    do throws(CoverTreeError) {
      try view.checkCoordinates(named: name, within: limit, context: context)
    } catch  where error.kind == .invalidArgument {
      throw corrupt("section \(error.message)")
    }
    return numbers
  }
}
