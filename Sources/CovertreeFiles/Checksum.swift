import CNumerics
import CovertreeBase

/// CRC-32C of long sections: of the checksums of their pieces, so that threads can share the work.
///
/// A section of at most one piece has the checksum of the four bytes of its piece's checksum.
package enum Checksum {
  static let pieceBytes = 1 << 20

  /// CRC-32C (Castagnoli), as iSCSI and ext4 use it.
  package static func crc(_ bytes: UnsafeRawBufferPointer, after sum: UInt32 = 0) -> UInt32 {
    cn_crc32c(sum, bytes.baseAddress, bytes.count)
  }

  /// The CRC-32C of the little-endian CRC-32C of each piece.
  static func ofSection(_ bytes: UnsafeRawBufferPointer, context: CallContext) throws(CoverTreeError) -> UInt32 {
    let pieces = (bytes.count + pieceBytes - 1) / pieceBytes
    let sums = try Buffer<UInt32>(count: pieces)
    try context.forEach(pieces, grain: 4) { (range, _) throws(CoverTreeError) in
      for piece in range {
        let end = min(bytes.count, (piece + 1) * pieceBytes)
        sums[piece] = crc(UnsafeRawBufferPointer(rebasing: bytes[piece * pieceBytes..<end])).littleEndian
      }
    }
    return crc(UnsafeRawBufferPointer(sums.elements))
  }
}
