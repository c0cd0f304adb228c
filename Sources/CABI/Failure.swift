import CCovertree
import Covertree
import Glibc

/// Runs the body of an export: a failure becomes a status and the thread's last error.
func status(_ body: () throws(CoverTreeError) -> Void) -> covertree_status {
  do throws(CoverTreeError) {
    try body()
    return COVERTREE_OK
  } catch {
    LastError.set(error.message)
    // For hosts that make an exception of it; nothing above may have changed it, so it is set last.
    if error.code != 0 { errno = error.code }
    return error.kind.status
  }
}

extension CoverTreeError.Kind {
  fileprivate var status: covertree_status {
    switch self {
    case .invalidArgument: COVERTREE_INVALID_ARGUMENT
    case .shape: COVERTREE_SHAPE
    case .unsupported: COVERTREE_UNSUPPORTED
    case .notFound: COVERTREE_NOT_FOUND
    case .exists: COVERTREE_EXISTS
    case .outOfMemory: COVERTREE_OUT_OF_MEMORY
    case .io: COVERTREE_IO
    case .corrupt: COVERTREE_CORRUPT
    case .formatVersion: COVERTREE_FORMAT_VERSION
    case .busy: COVERTREE_BUSY
    case .cancelled: COVERTREE_CANCELLED
    case .internal: COVERTREE_INTERNAL
    }
  }
}

/// The message of the last failure, a C string for each thread.
enum LastError {
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { free($0) }
    return key
  }()

  /// Before any failure, and where there is no memory for a message.
  nonisolated(unsafe) private static let empty = strdup("")

  static func set(_ message: String) {
    free(pthread_getspecific(key))
    pthread_setspecific(key, strdup(message))
  }

  static var current: UnsafePointer<CChar>? {
    guard let text = pthread_getspecific(key) else { return UnsafePointer(empty) }
    return UnsafePointer(text.assumingMemoryBound(to: CChar.self))
  }
}
