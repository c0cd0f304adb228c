/// Objects made by the threads of a loop, each in a slot of its own.
@usableFromInline
package final class PerThread<Value: AnyObject>: @unchecked Sendable {
  @usableFromInline
  let values: UnsafeMutablePointer<Value?>
  @usableFromInline
  let count: Int

  @inlinable
  package init(count: Int) {
    self.count = count
    values = .allocate(capacity: count)
    values.initialize(repeating: nil, count: count)
  }

  @inlinable
  deinit {
    values.deinitialize(count: count)
    values.deallocate()
  }

  /// The value of a slot, made on first use. No two threads may ask for one slot at once.
  @inlinable
  package func value(_ slot: Int, make: () throws(CoverTreeError) -> Value) throws(CoverTreeError) -> Value {
    if let known = values[slot] { return known }
    let new = try make()
    values[slot] = new
    return new
  }

  /// The existing values, by slots.
  @inlinable
  package var all: [Value] { (0..<count).compactMap { values[$0] } }
}
