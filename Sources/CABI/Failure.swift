import CCovertree
import CReserve
import Covertree
import CovertreeBase
import Glibc

/// Runs the body of an export, and turns an error into a status and the thread's last error.
func status(_ body: () throws(CoverTreeError) -> Void) -> covertree_status {
  do throws(CoverTreeError) {
    guard !cn_reserve_is_low() else { throw CoverTreeError(.outOfMemory, "out of memory: the system has none left") }
    try body()
    return COVERTREE_OK
  } catch {
    LastError.set(error)
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

/// The last failure of each thread: its error number, then its message as a C string.
enum LastError {
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { free($0) }
    return key
  }()

  /// The message before any failure, and if another cannot be allocated.
  nonisolated(unsafe) private static let empty = strdup("")

  static func set(_ error: CoverTreeError) {
    free(pthread_getspecific(key))
    var text = error.message
    let memory = text.withUTF8 { (bytes) -> UnsafeMutableRawPointer? in
      guard let memory = calloc(1, MemoryLayout<Int32>.size + bytes.count + 1) else { return nil }
      if let start = bytes.baseAddress { memcpy(memory + MemoryLayout<Int32>.size, start, bytes.count) }
      return memory
    }
    memory?.storeBytes(of: error.code, as: Int32.self)
    pthread_setspecific(key, memory)
  }

  static var code: Int32 { pthread_getspecific(key)?.load(as: Int32.self) ?? 0 }

  static var message: UnsafePointer<CChar>? {
    guard let memory = pthread_getspecific(key) else { return UnsafePointer(empty) }
    return UnsafePointer((memory + MemoryLayout<Int32>.size).assumingMemoryBound(to: CChar.self))
  }
}
