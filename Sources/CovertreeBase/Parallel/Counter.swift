import Synchronization

/// A sum that several threads add to.
package final class Counter: Sendable {
  private let sum = Atomic<Int>(0)

  package init() {}

  package func add(_ amount: Int) { sum.wrappingAdd(amount, ordering: .relaxed) }
  /// Increments the value, and returns the old one.
  package func next() -> Int { sum.wrappingAdd(1, ordering: .relaxed).oldValue }
  package var value: Int { sum.load(ordering: .relaxed) }
}
