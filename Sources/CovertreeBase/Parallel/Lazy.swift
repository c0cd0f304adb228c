/// A value that is made when it is first asked for, and kept.
///
/// Threads that ask at once may each make one; the first to end is kept. No lock is held meanwhile, so a forked child
/// never finds one taken.
public final class Lazy<Value: AnyObject>: @unchecked Sendable {
  /// Guarded by `processLock`.
  @usableFromInline
  var value: Value?

  @inlinable
  public init(_ value: Value? = nil) { self.value = value }

  /// What there is so far.
  @inlinable
  public var known: Value? { processLock.locked { value } }

  @inlinable
  public func get(_ make: () throws(CoverTreeError) -> Value) throws(CoverTreeError) -> Value {
    if let known { return known }
    let new = try make()
    return processLock.locked {
      let kept = value ?? new
      value = kept
      return kept
    }
  }
}
