/// A value as an object, where only objects can be stored.
public final class Box<Value> {
  public let value: Value
  @inlinable
  public init(_ value: Value) { self.value = value }
}
