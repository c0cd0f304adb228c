/// Why a call failed: a kind that a program can act on, and a message that a person can.
///
/// Messages name the argument, what was got and what was wanted: "points: expected (n, 3), got (100, 2)".
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
  /// The system's `errno` behind an `io` error; 0 elsewhere.
  public let code: Int32

  public init(_ kind: Kind, _ message: String, code: Int32 = 0) {
    self.kind = kind
    self.message = message
    self.code = code
  }
}

extension CoverTreeError {
  /// Of an array that was in order when it was checked, while its copy is not.
  package static func changing(_ name: String) -> CoverTreeError {
    CoverTreeError(.invalidArgument, "\(name): are written to by another thread")
  }
}
