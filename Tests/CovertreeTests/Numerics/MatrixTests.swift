import Glibc
import Testing

@testable import Covertree
@testable import CovertreeBase

@Suite struct MatrixTests {
  private func random(_ count: Int, seed: UInt64) -> [Double] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Double.random(in: -1...1, using: &generator) }
  }

  @Test func exponentialAgreesWithTheSystems() {
    var worst = 0.0
    for step in 0..<400_000 {
      let x = -Double(step) * 0.0017
      let got = exponential(SIMD8(repeating: x))[3]
      worst = max(worst, (got - exp(x)).magnitude / exp(x))
    }
    #expect(worst < 4e-16)
    #expect(exponential(SIMD8(repeating: 0))[0] == 1)
    #expect(exponential(SIMD8(repeating: -1e9))[0] == 0)
    #expect(exponential(SIMD8(repeating: -.infinity))[0] == 0)
  }

  private func checkProduct<S: Scalar>(_: S.Type, rows: Int, columns: Int, depth: Int, tolerance: Double) throws {
    let a = random(rows * depth, seed: 1)
    let b = random(columns * depth, seed: 2)
    let left = try Panels<S>(rows: rows, columns: depth)
    let right = try Panels<S>(rows: columns, columns: depth)
    a.withUnsafeBufferPointer { base in left.view.pack(rows) { base.baseAddress! + $0 * depth } }
    b.withUnsafeBufferPointer { base in right.view.pack(columns) { base.baseAddress! + $0 * depth } }
    let stride = (columns + 31) / 32 * 32
    let result = try Buffer<S>(count: (rows + tileRows) * stride)
    multiply(left.view, rows: 0..<rows, right.view, into: result.base, stride: stride) { _ in columns }
    for i in 0..<rows {
      for j in 0..<columns {
        let wanted = (0..<depth).reduce(0) { $0 + a[i * depth + $1] * b[j * depth + $1] }
        #expect((Double(result[i * stride + j]) - wanted).magnitude <= tolerance)
      }
    }
  }

  @Test(arguments: [(1, 1, 1), (8, 16, 128), (9, 33, 129), (40, 50, 300), (3, 70, 0)])
  func productsAreThoseOfTheDefinition(_ shape: (Int, Int, Int)) throws {
    try checkProduct(Double.self, rows: shape.0, columns: shape.1, depth: shape.2, tolerance: 1e-12)
    try checkProduct(Float.self, rows: shape.0, columns: shape.1, depth: shape.2, tolerance: 1e-4)
  }

  @Test(arguments: [(1, 8), (2, 0), (4, 16), (5, 24), (31, 200), (33, 8)])
  func productsOfRowsAreThoseOfTheDefinition(_ shape: (Int, Int)) throws {
    let (rows, depth) = shape
    let elements = random(rows * depth, seed: 3)
    let matrix = try Buffer<Double>(count: rows * depth)
    for (index, element) in elements.enumerated() { matrix[index] = element }
    let stride = (rows + 3) / 4 * 4
    let result = try Buffer<Double>(count: stride * stride)
    multiplyRows(rows, columns: depth, into: result.base, stride: stride) { UnsafePointer(matrix.base) + $0 * depth }
    for i in 0..<rows {
      for j in 0...i {
        let wanted = (0..<depth).reduce(0) { $0 + elements[i * depth + $1] * elements[j * depth + $1] }
        #expect((result[i * stride + j] - wanted).magnitude <= 1e-12)
      }
    }
  }

  @Test(arguments: [1, 7, 8, 16, 17, 100])
  func factorReproducesTheMatrixAndSolves(_ count: Int) throws {
    let g = random(count * count, seed: 3)
    var matrix = [Double](repeating: 0, count: count * count)
    for i in 0..<count {
      for j in 0..<count {
        matrix[i * count + j] = (0..<count).reduce(i == j ? 0.5 : 0) { $0 + g[i * count + $1] * g[j * count + $1] }
      }
    }
    let factor = try #require(
      try CholeskyFactor(matrix, count: count, stride: count, added: 0.25, context: CallContext()))
    for i in 0..<count {
      for j in 0...i {
        let product = (0...j).reduce(0) { $0 + factor[i, $1] * factor[j, $1] }
        #expect((product - matrix[i * count + j] - (i == j ? 0.25 : 0)).magnitude < 1e-10)
      }
    }
    let x = random(factor.paddedCount * 16, seed: 4)
    let y = try Buffer<Double>(count: x.count)
    for index in 0..<x.count { y[index] = index / 16 < count ? x[index] : 0 }
    factor.solve(y.base)
    for row in 0..<count {
      for lane in 0..<16 {
        let product = (0...row).reduce(0) { $0 + factor[row, $1] * y[$1 * 16 + lane] }
        #expect((product - x[row * 16 + lane]).magnitude < 1e-10)
      }
    }
  }

  @Test func indefiniteMatrixHasNoFactor() throws {
    let matrix = [1.0, 2.0, 2.0, 1.0]
    #expect(try CholeskyFactor(matrix, count: 2, stride: 2, added: 0, context: CallContext()) == nil)
  }
}
