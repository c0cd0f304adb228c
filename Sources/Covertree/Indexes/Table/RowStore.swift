import CovertreeBase

/// A store of vectors, as the indexes over it use it.
///
/// Vectors are in rows that never move. The row in a *pinned* slot does not change until it is unpinned as often as it was pinned.
package protocol RowStore: AnyObject, Sendable {
  var dim: Int { get }
  /// Row 0; each row begins `rowBytes` after the one before. They are there as long as the store is.
  var base: UnsafeRawPointer { get }
  var rowBytes: Int { get }
  /// Of the hashes of its vectors.
  var hashSeed: (UInt64, UInt64) { get }

  /// Throws if this process is a fork of the process that opened the store.
  func checkProcess() throws(CoverTreeError)
  /// Pins slots in use.
  ///
  /// - Parameter known: hashes of the vectors that have to be in them; nil for any.
  func pin(_ slots: UnsafeBufferPointer<Int64>, known: KnownHashes?) throws(CoverTreeError)
  /// Pins slots once more that are pinned.
  func retain(_ count: Int, _ slot: (Int) -> Int) throws(CoverTreeError)
  func unpin(_ count: Int, _ slot: (Int) -> Int)
  /// The hashes of the vectors in pinned slots.
  func hashes(_ count: Int, _ slot: (Int) -> Int) throws(CoverTreeError) -> Buffer<UInt64>
}

/// Hashes of vectors in a file, and the seeded hash function that made them.
package struct KnownHashes {
  package let hashes: UnsafePointer<UInt64>
  package let hash: VectorHash
}
