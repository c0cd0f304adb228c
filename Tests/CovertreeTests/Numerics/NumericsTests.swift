import Testing

@testable import Covertree
@testable import CovertreeBase

@Suite struct LevelTests {
  @Test(arguments: [-1000, -960, -480, -31, -2, -1, 0, 1, 2, 7, 500, 1000])
  func levelsOfPowersOfFour(exponent: Int) {
    let squared = Double(sign: .plus, exponent: exponent, significand: 1)
    let below = levelBelow(squared: squared)
    #expect(squaredRadius(ofLevel: below) < squared)
    #expect(squared <= squaredRadius(ofLevel: below + 1))
    #expect(levelCovering(squared: squared) == below + 1)
  }

  @Test func levelsOfDistancesBetweenPowers() {
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

@Suite struct ScoreTests {
  private func numbers(_ count: Int, exponents: ClosedRange<Int>) -> [Double] {
    var generator = SeededGenerator(seed: 3)
    return (0..<count).map { _ in
      Double(
        sign: .plus, exponent: Int.random(in: exponents, using: &generator),
        significand: Double.random(in: 1..<2, using: &generator))
    }
  }

  private func score(_ distance: Double) -> Double {
    euclideanScore([distance], [0.0], dim: 1)
  }

  @Test func scoresStandInTheOrderOfDistances() {
    var distances = numbers(4000, exponents: -1074...500) + [0, 0x1p-480, Double.leastNonzeroMagnitude]
    distances += distances.flatMap { [$0.nextUp, max(0, $0.nextDown)] }
    distances.sort()
    for (near, far) in zip(distances, distances.dropFirst()) {
      #expect(near == far ? score(near) == score(far) : score(near) < score(far))
      #expect(Score.reported(score(near)) <= Score.reported(score(far)))
    }
    for distance in distances {
      #expect(Score.distance(score(distance)) == distance)
      #expect(Score.isZero(score(distance)) == (distance == 0))
      #expect(score(distance) <= Score.largest(reportedWithin: Score.reported(score(distance))))
    }
    #expect(Score.reported(score(0)) == 0 && Score.reported(0) == 0)
    for limit in numbers(1000, exponents: -1074...(-950)) {
      let largest = Score.largest(reportedWithin: limit)
      #expect(Score.reported(largest) <= limit)
      #expect(largest >= Score.ofZero)
    }
    #expect(Score.largest(reportedWithin: -1) < Score.ofZero)
    #expect(Score.distance(Score.largest(reportedWithin: -1)) == 0)
  }

  @Test func theLargestScoreWithinADistanceIsTheLast() {
    for distance in numbers(4000, exponents: -1074...500) + [0, 0x1p-480, (0x1p-480).nextDown, (0x1p-480).nextUp] {
      let largest = Score.largest(withinDistance: distance)
      #expect(Score.distance(largest) <= distance)
      #expect(Score.distance(largest.nextUp) > distance || largest.nextUp >= 0 && largest.nextUp < Score.leastSquare)
      #expect(score(distance) <= largest)
    }
    #expect(Score.largest(withinDistance: .infinity) == .infinity)
  }

  @Test func distancesInFloat32CountAsReported() {
    for limit in numbers(4000, exponents: -160...130) + [0, 1, Double(Float.greatestFiniteMagnitude)] {
      for sign in [1.0, -1.0] {
        let largest = Float.largestReported(within: sign * limit)
        #expect(largest >= sign * limit)
        #expect(largest == sign * limit || Double(Float(largest)) <= sign * limit)
        #expect(Double(Float(largest.nextUp)) > sign * limit)
        #expect(Double.largestReported(within: sign * limit) == sign * limit)
      }
    }
    #expect(Float(Float.largestReported(within: -.infinity)) == -.infinity)
    #expect(Float.largestReported(within: .infinity) == .infinity)
  }

  @Test func levelsOfDistancesWhoseSquaresUnderflow() {
    for distance in numbers(4000, exponents: -1074...(-400)) {
      let below = levelBelow(score: score(distance))
      #expect(radiusScore(ofLevel: below) < score(distance))
      #expect(score(distance) <= radiusScore(ofLevel: below + 1))
      #expect(levelCovering(score: score(distance)) == below + 1)
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
  func buffersTooLargeAreAnError(count: Int) {
    #expect(failure { _ = try Buffer<Double>(count: count) }?.kind == .outOfMemory)
  }

  @Test func aBufferKeepsAppendedElements() throws {
    let stack = try GrowableBuffer<Int32>()
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
