import CovertreeBase

/// A few orthonormal directions, in descending order of the share of some vectors that they hold.
///
/// Orthogonal iteration from random directions (Golub and Van Loan, "Matrix Computations", 8.2.4; Halko, Martinsson and Tropp, "Finding
/// structure with randomness", 2011). They need not be exact eigenvectors, only orthonormal.
struct PrincipalDirections {
  private static let iterations = 3

  let count: Int
  /// The length of each.
  let length: Int
  /// `count x length`.
  let rows: Buffer<Double>

  /// - Parameters:
  ///   - vectors: their number is at most `sample`.
  ///   - length: of a vector, a multiple of 8.
  init(
    _ count: Int, of vectors: (Int) -> UnsafePointer<Double>, sample: Int, length: Int, context: CallContext
  ) throws(CoverTreeError) {
    (self.count, self.length) = (count, length)
    let moments = try Self.moments(vectors, sample, length, context)
    rows = try Buffer(count: count * length)
    var generator = SeededGenerator(seed: 1)
    for element in 0..<rows.count { rows[element] = Double(Int64(truncatingIfNeeded: generator.next())) * 0x1p-63 }
    let next = try Buffer<Double>(count: rows.count)
    for _ in 0..<Self.iterations {
      try context.poll()
      let rows = rows
      try context.forEach(count, grain: 8) { (range, _) throws(CoverTreeError) in
        for i in range {
          for column in 0..<length {
            next[i * length + column] = dot(moments.base + column * length, rows.base + i * length, count: length)
          }
        }
      }
      rows.base.update(from: next.base, count: rows.count)
      orthonormalise()
    }
  }

  /// Sums of products of the vectors' elements, `length x length`.
  private static func moments(
    _ vectors: (Int) -> UnsafePointer<Double>, _ sample: Int, _ length: Int, _ context: CallContext
  ) throws(CoverTreeError) -> Buffer<Double> {
    let padded = (sample + 7) / 8 * 8
    let columns = try Panels<Double>(rows: length, columns: padded)
    let width = PanelView<Double>.panelRows
    columns.elements.base.update(repeating: 0, count: columns.elements.count)
    for i in 0..<sample {
      let vector = vectors(i)
      for row in 0..<length { columns.view.row(row)[i * width] = vector[row] }
    }
    let stride = (length + width - 1) / width * width
    let products = try Buffer<Double>(count: length * stride)
    try context.forEach(length / tileRows, grain: 4) { (range, slot) throws(CoverTreeError) in
      try context.poll(inSlot: slot)
      let rows = range.lowerBound * tileRows..<range.upperBound * tileRows
      multiply(columns.view, rows: rows, columns.view, into: products.base, stride: stride) { _ in length }
    }
    let moments = try Buffer<Double>(count: length * length)
    for row in 0..<length {
      (moments.base + row * length).update(from: products.base + row * stride, count: length)
    }
    return moments
  }

  /// Gram and Schmidt, twice. A direction without a part of its own becomes zero.
  private func orthonormalise() {
    for i in 0..<count {
      let row = rows.base + i * length
      let before = dot(row, row, count: length)
      for _ in 0..<2 {
        for j in 0..<i {
          let other = rows.base + j * length
          let share = dot(row, other, count: length)
          for column in 0..<length { row[column] -= share * other[column] }
        }
      }
      let left = dot(row, row, count: length)
      let factor = left > 0x1p-60 * before ? 1 / left.squareRoot() : 0
      for column in 0..<length { row[column] *= factor }
    }
  }

  /// Writes the coordinates of a vector on the first directions. Returns the squared length of what these do not hold, rounded up.
  func project(_ vector: UnsafePointer<Double>, _ used: Int, into coordinates: UnsafeMutablePointer<Double>) -> Double {
    let squared = dot(vector, vector, count: length)
    var held = 0.0
    for i in 0..<used {
      coordinates[i] = dot(vector, rows.base + i * length, count: length)
      held += coordinates[i] * coordinates[i]
    }
    return max(0, squared - held) + 0x1p-38 * squared
  }
}
