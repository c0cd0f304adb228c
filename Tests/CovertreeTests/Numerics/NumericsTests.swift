import Testing

@testable import Covertree

@Suite struct LevelTests {
  @Test(arguments: [-1000, -960, -480, -31, -2, -1, 0, 1, 2, 7, 500, 1000])
  func levelsOfPowersOfFour(exponent: Int) {
    let squared = Double(sign: .plus, exponent: exponent, significand: 1)
    let below = levelBelow(squared: squared)
    #expect(squaredRadius(ofLevel: below) < squared)
    #expect(squared <= squaredRadius(ofLevel: below + 1))
    #expect(levelCovering(squared: squared) == below + 1)
  }

  @Test func levelsOfWhatLiesBetween() {
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<10_000 {
      let squared = Double(
        sign: .plus, exponent: Int.random(in: -900...900, using: &generator),
        significand: Double.random(in: 1..<2, using: &generator))
      for value in [squared, squared.nextUp, squared.nextDown] {
        let below = levelBelow(squared: value)
        #expect(squaredRadius(ofLevel: below) < value)
        #expect(value <= squaredRadius(ofLevel: below + 1))
      }
    }
  }
}

@Suite struct BufferTests {
  @Test func memoryIsAlignedToACacheLine() throws {
    for count in [0, 1, 3, 1000] {
      #expect(Int(bitPattern: try Buffer<Float>(count: count).base) % 64 == 0)
    }
  }

  @Test(arguments: [Int.max, Int.max / 8 + 1, 1 << 60, -1])
  func whatCannotBeHadIsAnError(count: Int) {
    #expect(failure { _ = try Buffer<Double>(count: count) }?.kind == .outOfMemory)
  }

  @Test func aStackKeepsWhatItIsGiven() throws {
    let stack = try Stack<Int32>()
    for value in 0..<1000 { try stack.append(Int32(value)) }
    try stack.append(UnsafeBufferPointer(rebasing: stack.elements[10..<20]))
    #expect(Array(stack.elements) == Array(0..<1000) + Array(10..<20))
    stack.removeAll()
    #expect(stack.count == 0)
  }
}

@Suite struct RadixSortTests {
  @Test(arguments: [0, 1, 2, 1000, 200_000], [UInt64.max, 0xFFF, 0xFFFF_0000_0000_0000, 0])
  func sortsStably(count: Int, mask: UInt64) throws {
    let keys = try Buffer<UInt64>(count: count)
    var generator = SeededGenerator(seed: 5)
    for index in 0..<count { keys[index] = generator.next() & mask }
    let order = try sortedOrder(ofKeys: keys, context: CallContext(threads: 3))
    let expected = (0..<count).sorted { (keys[$0], $0) < (keys[$1], $1) }
    #expect(order.elements.map(Int.init) == expected)
  }
}

@Suite struct RoundingTests {
  @Test func roundingUpNeverGoesBelow() {
    var generator = SeededGenerator(seed: 2)
    for _ in 0..<10_000 {
      let value = Double.random(in: 0...1, using: &generator)
      #expect(Double(Float.roundedUp(value)) >= value)
      #expect(Double(Float.roundedUp(value).nextDown) < value)
    }
    #expect(Float.roundedUp(1e300) == .infinity)
    #expect(Float.roundedUp(1e-60) == .leastNonzeroMagnitude)
  }
}
