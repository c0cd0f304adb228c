import CNumerics
import Glibc
import Testing

@testable import Covertree

/// The errors that `powers.h` promises, against the C library.
@Suite struct PowerTests {
  /// Exponents on both sides of the limit of rough powers.
  static let exponents = [1.01, 1.5, 2.5, 3.7, 8, 8.5, 40]

  @Test(arguments: exponents) func powersInFloat32(exponent: Double) {
    let p = Double(Float(exponent))
    let isRough = p <= Double(CN_MOST_ROUGH_POWER)
    var worst = 0.0
    for bits in stride(from: UInt32(0x0080_0000), to: 0x7F80_0000, by: 6007) {
      let x = Float(bitPattern: bits)
      let true64 = pow(Double(x), p)
      guard Float(true64).isNormal else { continue }
      let got = Double(Float.power(SIMD16(repeating: x), p)[7])
      let allowed = isRough ? (2 + p) * 0x1p-13 : (4 + (p * log2(Double(x))).magnitude) * 0x1p-21
      worst = max(worst, log(got / true64).magnitude / allowed)
    }
    #expect(worst < 1)
  }

  @Test(arguments: exponents) func limitsInFloat32(exponent: Double) {
    var numbers = SIMD16<Float>(repeating: 1)
    (numbers[0], numbers[1], numbers[2], numbers[3]) = (0, .leastNonzeroMagnitude, .infinity, 3e38)
    let some = Float.power(numbers, exponent)
    #expect(some[0] >= 0 && some[0] <= .leastNormalMagnitude)
    #expect(some[1] >= 0 && some[1] <= .leastNormalMagnitude)
    #expect(some[2] == .infinity)
    #expect(some[3] > 3e38)
    #expect((some[4] - 1).magnitude < 1e-3)
    // An empty slot of a leaf is NaN, and must not come near.
    #expect(!(Float.power(SIMD16(repeating: .nan), exponent)[0] < .greatestFiniteMagnitude))
  }

  @Test(arguments: exponents) func rootsInFloat32(exponent: Double) {
    var generator = SeededGenerator(seed: 5)
    var (certain, wrong) = (0, 0)
    for _ in 0..<20_000 {
      var x = SIMD8<Double>()
      for lane in 0..<8 { x[lane] = exp(Double.random(in: -80...80, using: &generator)) }
      let roots = cn_f32x8_certain_power(x, 1 / exponent)
      for lane in 0..<8 where !roots[lane].isNaN {
        certain += 1
        wrong += roots[lane] == Float(pow(x[lane], 1 / exponent)) ? 0 : 1
      }
    }
    #expect(wrong == 0)
    #expect(certain > 159_000)
    let some = cn_f32x8_certain_power(SIMD8(0, 0x1p-1060, .infinity, 1, 1, 1, 1, 1), 1 / exponent)
    #expect(some[0] == 0 && some[1].isNaN && some[2] == .infinity)
  }
}
