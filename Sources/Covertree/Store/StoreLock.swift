import Glibc

/// Who else has a store open: locks of bytes of a file beside it, which end with the process, however it ends.
///
/// A writer has the first byte alone. Readers share the second: while there are any, slots that were freed are not used again.
/// Locks belong to the opened file, not to the process, so that two stores in one process see each other.
final class StoreLock: @unchecked Sendable {
  private let descriptor: Int32

  private static var get: Int32 { 36 }  // F_OFD_GETLK
  private static var set: Int32 { 37 }  // F_OFD_SETLK
  private enum Byte: off_t {
    case writer = 0
    case readers = 1
  }

  /// - Parameter writable: whether for a writer, or for a reader.
  init(_ path: String, writable: Bool) throws(CoverTreeError) {
    descriptor = open(path, (writable ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NONBLOCK, 0o666)
    guard descriptor >= 0 else { throw .io("path: \(path)") }
    var lock = Self.lock(writable ? F_WRLCK : F_RDLCK, writable ? .writer : .readers)
    guard fcntl(descriptor, Self.set, &lock) == 0 else {
      let code = errno
      close(descriptor)
      guard code == EAGAIN || code == EACCES else { throw CoverTreeError.io("path: \(path)") }
      throw CoverTreeError(.busy, "path: \(path): somebody else has the store open for writing")
    }
  }

  deinit { close(descriptor) }

  private static func lock(_ type: Int32, _ byte: Byte) -> flock {
    var lock = flock()
    lock.l_type = Int16(type)
    lock.l_whence = Int16(SEEK_SET)
    (lock.l_start, lock.l_len) = (byte.rawValue, 1)
    return lock
  }

  /// Whether readers have the store open.
  var hasReaders: Bool {
    var lock = Self.lock(F_WRLCK, .readers)
    return fcntl(descriptor, Self.get, &lock) != 0 || lock.l_type != Int16(F_UNLCK)
  }
}
