import Synchronization

/// A sum that several threads add to.
final class Counter: Sendable {
  private let sum = Atomic<Int>(0)

  func add(_ amount: Int) { sum.wrappingAdd(amount, ordering: .relaxed) }
  /// The value, which grows by one.
  func next() -> Int { sum.wrappingAdd(1, ordering: .relaxed).oldValue }
  var value: Int { sum.load(ordering: .relaxed) }
}
