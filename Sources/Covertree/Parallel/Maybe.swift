/// A value that may not be had, as an object.
final class Maybe<Value> {
  let value: Value?
  init(_ value: Value?) { self.value = value }
}
