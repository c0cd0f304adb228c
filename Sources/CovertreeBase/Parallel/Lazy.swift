/// A value that is made on first use, and kept.
///
/// Threads that ask at once may each make one; the first to finish is kept. No lock is held while it is made, so a forked child never
/// finds one locked.
public final class Lazy<Value: AnyObject>: @unchecked Sendable {
  /// Guarded by `processLock`.
  @usableFromInline
  var value: Value?

  @inlinable
  public init(_ value: Value? = nil) { self.value = value }

  /// The value, if it is made.
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
