/// The failure of a call: a kind for programs, and a message for people.
///
/// Messages name the argument, the expected value and the actual one: "points: expected (n, 3), got (100, 2)".
public struct CoverTreeError: Error {
  public enum Kind: Sendable {
    case invalidArgument, shape, unsupported
    case notFound, exists
    case outOfMemory
    case io, corrupt, formatVersion
    case busy, cancelled
    case `internal`
  }

  public let kind: Kind
  public let message: String
  /// The system's `errno` of an `io` error; otherwise 0.
  public let code: Int32

  public init(_ kind: Kind, _ message: String, code: Int32 = 0) {
    self.kind = kind
    self.message = message
    self.code = code
  }
}

extension CoverTreeError {
  /// An array passed its check, but its copy does not.
  package static func changing(_ name: String) -> CoverTreeError {
    CoverTreeError(.invalidArgument, "\(name): are written to by another thread")
  }
}
