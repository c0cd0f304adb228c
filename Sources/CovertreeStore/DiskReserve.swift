import Covertree
import CovertreeBase
import CovertreeFiles
import Glibc

/// Disk space that a store reserves. A removal needs some, too, and uses it if the disk is full.
///
/// It is a file in the store's folder that is never mapped. Some file systems cannot reserve space.
struct DiskReserve {
  private let path: String
  private let mode: mode_t

  /// Some dozens of the catalogue's pages: several times the writes of a removal of a few ids.
  private static var most: off_t { 512 << 10 }
  private static var least: off_t { 64 << 10 }

  init(_ folder: StoreFolder) {
    path = folder.reserve
    mode = (StoreFolder.mode(of: folder.catalogue) ?? 0o600) | 0o600
  }

  private func opened(_ flags: Int32) -> Int32? {
    let file = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | flags, mode)
    guard file >= 0 else { return nil }
    guard let status = try? stat(of: file, path: path), status.isRegularFile else {
      close(file)
      return nil
    }
    return file
  }

  /// Reserves the space, or as much as the disk has.
  func fill() {
    guard let file = opened(O_CREAT) else { return }
    defer { close(file) }
    var bytes = Self.most
    while bytes >= Self.least, posix_fallocate(file, 0, bytes) == ENOSPC { bytes /= 2 }
  }

  /// Returns the space to the disk.
  ///
  /// - Returns: whether any space was reserved.
  private func release() -> Bool {
    guard let file = opened(0) else { return false }
    defer { close(file) }
    guard let status = try? stat(of: file, path: path), status.st_blocks > 0 else { return false }
    return ftruncate(file, 0) == 0
  }

  /// Runs code that writes to the disk. If the disk is full, the code runs a second time with the reserved space.
  ///
  /// - Parameter makeRoom: frees more space after the reserve is released, and returns whether it did.
  func retryingWithReserve<Result>(
    makeRoom: () -> Bool = { false }, _ body: () throws(CoverTreeError) -> Result
  ) throws(CoverTreeError) -> Result {
    do throws(CoverTreeError) {
      return try body()
    } catch {
      guard error.meansFullDisk else { throw error }
      let isReleased = release()
      guard makeRoom() || isReleased else { throw error }
    }
    defer { fill() }
    return try body()
  }
}

extension CoverTreeError {
  var meansFullDisk: Bool { kind == .io && (code == ENOSPC || code == EDQUOT) }
}
