import CovertreeBase
import Glibc

// Calls of the system for files, whose failures are errors that name the path.

extension CoverTreeError {
  /// The system's error of the last call that failed.
  package static func io(_ what: String) -> CoverTreeError {
    let code = errno
    // The C library allocates memory of its own, for example in `realpath`.
    return CoverTreeError(
      code == ENOMEM ? .outOfMemory : .io, "\(what): \(String(cString: strerror(code)))", code: code)
  }

  package static func io(path: String) -> CoverTreeError { io("path: \(path)") }

  package static func corrupt(path: String, _ what: String) -> CoverTreeError {
    CoverTreeError(.corrupt, "path: \(path): \(what)")
  }
}

extension stat {
  /// The status of an open file.
  package init(of file: Int32, path: String) throws(CoverTreeError) {
    self.init()
    guard fstat(file, &self) == 0 else { throw .io(path: path) }
  }

  package var isRegularFile: Bool { st_mode & S_IFMT == S_IFREG }
}

/// Repeats a write until `count` bytes are written. It gets the number of bytes before.
package func writeAll(_ count: Int, path: String, _ write: (_ done: Int) -> Int) throws(CoverTreeError) {
  try moveAll(count, path, ended: .io(path: path), write)
}

/// The same for a read.
package func readAll(_ count: Int, path: String, _ read: (_ done: Int) -> Int) throws(CoverTreeError) {
  try moveAll(count, path, ended: .corrupt(path: path, "became shorter while it was read"), read)
}

private func moveAll(
  _ count: Int, _ path: String, ended: @autoclosure () -> CoverTreeError, _ move: (_ done: Int) -> Int
) throws(CoverTreeError) {
  var done = 0
  while done < count {
    let moved = move(done)
    if moved < 0 && errno == EINTR { continue }
    guard moved >= 0 else { throw .io(path: path) }
    guard moved > 0 else { throw ended() }
    done += moved
  }
}

/// The path of a file after all symbolic links; nil, with `errno`, if it does not exist.
///
/// - Parameter names: for the message about a path that is not UTF-8.
package func resolvedPath(_ given: String, _ names: String) throws(CoverTreeError) -> String? {
  guard let found = realpath(given, nil) else {
    guard errno == ENOENT else { throw .io(path: given) }
    return nil
  }
  defer { free(found) }
  guard let path = String(validatingCString: found) else {
    throw CoverTreeError(.invalidArgument, "path: \(given): expected \(names) in UTF-8")
  }
  return path
}
