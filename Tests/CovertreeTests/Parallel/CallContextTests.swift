import Glibc
import Synchronization
import Testing

@testable import Covertree
@testable import CovertreeBase

@Suite struct CallContextTests {
  @Test(arguments: [1, 2, 3, 8], [0, 1, 7, 1000, 100_000])
  func everyIndexComesOnce(threads: Int, count: Int) throws {
    let seen = try Buffer<UInt8>(count: count, filledWith: 0)
    let slots = Atomic<Int>(0)
    try CallContext(threads: threads).forEach(count, grain: 64) { (range, slot) throws(CoverTreeError) in
      for index in range { seen[index] += 1 }
      if slot >= threads { slots.wrappingAdd(1, ordering: .relaxed) }
    }
    #expect(seen.elements.allSatisfy { $0 == 1 })
    #expect(slots.load(ordering: .relaxed) == 0)
  }

  @Test(arguments: [1, 2, 4])
  func theFirstFailureIsThrown(threads: Int) {
    for _ in 0..<50 {
      let error = failure {
        try CallContext(threads: threads).forEach(1000, grain: 10) { (range, _) throws(CoverTreeError) in
          if range.lowerBound >= 200 { throw CoverTreeError(.internal, "\(range.lowerBound)") }
        }
      }
      #expect(error?.message == "200")
    }
  }

  @Test(arguments: [1, 3])
  func aReportThatSaysNoEndsTheCall(threads: Int) {
    let done = Atomic<Int>(0)
    let context = CallContext(threads: threads) { _ in false }
    let error = failure {
      try context.forEach(10_000, grain: 1) { (_, _) throws(CoverTreeError) in
        done.wrappingAdd(1, ordering: .relaxed)
        usleep(1000)
      }
    }
    #expect(error?.kind == .cancelled)
    #expect(done.load(ordering: .relaxed) < 5000)
  }

  @Test func callsFromManyThreadsShareThePool() throws {
    let total = Atomic<Int>(0)
    try CallContext(threads: 4).forEach(8, grain: 1) { (_, _) throws(CoverTreeError) in
      // A loop inside a loop: the inner one belongs to whichever thread runs it.
      try CallContext(threads: 3).forEach(1000, grain: 10) { (range, _) throws(CoverTreeError) in
        total.wrappingAdd(range.count, ordering: .relaxed)
      }
    }
    #expect(total.load(ordering: .relaxed) == 8000)
  }

  @Test(arguments: [0, 1, 100_000])
  func collectKeepsTheOrder(count: Int) throws {
    let found = try CallContext(threads: 3).collect(count) { $0 % 7 == 0 ? Int32($0) : nil }
    #expect(Array(found.elements) == stride(from: 0, to: count, by: 7).map(Int32.init))
  }
}
