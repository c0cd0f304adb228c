import Covertree
import CovertreeBase
import CovertreeFiles
import Glibc

/// Locks between processes that have a store open: locks of bytes of its row file, which end with the process in any case.
///
/// A writer locks the first byte alone. Readers share the second: while there are any, freed slots are not used again. Locks belong to
/// the open file, not to the process, so two stores in one process exclude each other. The locked file is the file that is written. So
/// two writers never write to the same rows, even if the file was deleted or replaced.
final class StoreLock: @unchecked Sendable {
  private let folder: Int32
  private let descriptor: Int32
  /// Files that must keep their names. Otherwise the next process would not find the changes.
  private let files: [LockedFile]

  private struct LockedFile {
    let name: String
    let identity: FileIdentity
  }

  private static var get: Int32 { 36 }  // F_OFD_GETLK
  private static var set: Int32 { 37 }  // F_OFD_SETLK
  private static var asPath: Int32 { 0o10000000 }  // O_PATH: it need not be readable
  private enum Byte: off_t {
    case writer = 0
    case readers = 1
  }

  /// Identifies a file independently of its name.
  private struct FileIdentity: Equatable {
    let device: dev_t
    let number: ino_t

    init(_ status: stat) { (device, number) = (status.st_dev, status.st_ino) }
  }

  /// - Parameter writable: true for a writer, false for a reader.
  init(_ store: StoreFolder, writable: Bool) throws(CoverTreeError) {
    folder = open(store.path, Self.asPath | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw .io(path: store.path) }
    var opened: Int32 = -1
    do throws(CoverTreeError) {
      opened = openat(
        folder, StoreFolder.rowsName, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
      guard opened >= 0 else { throw .io(path: store.rows) }
      var lock = Self.lock(writable ? F_WRLCK : F_RDLCK, writable ? .writer : .readers)
      guard fcntl(opened, Self.set, &lock) == 0 else {
        guard errno == EAGAIN || errno == EACCES else { throw .io(path: store.rows) }
        throw CoverTreeError(.busy, "path: \(store.path): the store is already open for writing")
      }
      files = [
        LockedFile(name: StoreFolder.rowsName, identity: FileIdentity(try stat(of: opened, path: store.rows))),
        LockedFile(
          name: StoreFolder.catalogueName, identity: try Self.named(StoreFolder.catalogueName, in: folder)),
      ]
      descriptor = opened
    } catch {
      if opened >= 0 { close(opened) }
      close(folder)
      throw error
    }
  }

  deinit {
    close(descriptor)
    close(folder)
  }

  private static func lock(_ type: Int32, _ byte: Byte) -> flock {
    var lock = flock()
    lock.l_type = Int16(type)
    lock.l_whence = Int16(SEEK_SET)
    (lock.l_start, lock.l_len) = (byte.rawValue, 1)
    return lock
  }

  var hasReaders: Bool {
    var lock = Self.lock(F_WRLCK, .readers)
    return fcntl(descriptor, Self.get, &lock) != 0 || lock.l_type != Int16(F_UNLCK)
  }

  private static func named(_ name: String, in folder: Int32) throws(CoverTreeError) -> FileIdentity {
    var status = stat()
    guard fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { throw .io("store: \(name)") }
    return FileIdentity(status)
  }

  /// Throws if a file was deleted or replaced, because changes would be lost. The folder may have another name by now.
  func confirm() throws(CoverTreeError) {
    for file in files {
      guard let found = try? Self.named(file.name, in: folder), found == file.identity else {
        throw CoverTreeError(
          .io, "store: \(file.name) was deleted or replaced after the store was opened; it cannot be changed any more",
          code: ESTALE)
      }
    }
  }

  /// Also throws if a row file, opened by its name, is not the locked file.
  func confirm(_ rows: RowFile) throws(CoverTreeError) {
    guard try FileIdentity(stat(of: rows.descriptor, path: rows.path)) == files[0].identity else {
      throw CoverTreeError(.io, "path: \(rows.path): was replaced while the store was opened", code: ESTALE)
    }
    try confirm()
  }
}
