/// A value as an object, for where only objects can be kept.
public final class Box<Value> {
  public let value: Value
  @inlinable
  public init(_ value: Value) { self.value = value }
}
