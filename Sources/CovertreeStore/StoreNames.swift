import Covertree

/// Names of new ids, in UTF-8, one for each.
public struct StoreNames: @unchecked Sendable {
  private let bytes: UnsafeBufferPointer<CChar>
  /// The end of each; the first begins at 0.
  private let ends: UnsafeBufferPointer<Int64>

  public init(bytes: UnsafeBufferPointer<CChar>, ends: UnsafeBufferPointer<Int64>) {
    (self.bytes, self.ends) = (bytes, ends)
  }

  subscript(index: Int) -> UnsafeBufferPointer<CChar> {
    let first = index == 0 ? 0 : Int(ends[index - 1])
    return UnsafeBufferPointer(rebasing: bytes[first..<Int(ends[index])])
  }
}

extension String {
  /// A path as SQLite opens a file that does not change.
  var asImmutableURI: String {
    var uri = "file:"
    for byte in utf8 {
      switch byte {
      case UInt8(ascii: "%"), UInt8(ascii: "?"), UInt8(ascii: "#"):
        uri += "%" + String(byte, radix: 16)
      default: uri.unicodeScalars.append(Unicode.Scalar(byte))
      }
    }
    return uri + "?immutable=1"
  }
}
