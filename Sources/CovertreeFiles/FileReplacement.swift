import CovertreeBase
import Glibc

/// Writes a file in one step: to a draft in the same folder (`FileDraft`), which is renamed when all of it is on the disk.
///
/// Symbolic links are followed, even if they lead to a file that does not exist yet. An existing file must be a regular file that the
/// process may write to; the new file gets its mode, owner and group. Without an existing file the umask decides about the mode.
/// If writing fails, the old file is unchanged. Other hard links to the old file keep the old contents.
struct FileReplacement {
  /// The path after all symbolic links.
  let path: String
  /// The existing file, if there is one.
  private let replaced: stat?
  /// For messages.
  private let given: String

  init(_ given: String) throws(CoverTreeError) {
    self.given = given
    let isPath: Int32 = 0o10000000  // O_PATH, which Swift lacks
    while true {
      let file = open(given, isPath | O_CLOEXEC)
      guard file >= 0 else {
        guard errno == ENOENT else { throw .io(path: given) }
        (path, replaced) = (try followed(given), nil)
        return
      }
      defer { close(file) }
      let status = try Self.regularFile(file, path: given)
      if let path = try Self.resolved(given, status) {
        (self.path, replaced) = (path, status)
        break
      }
      // Another thread or process may have replaced the file by now. While it is open, no other file gets its number.
      var now = stat()
      if stat(given, &now) == 0, Self.areSame(now, status) {
        throw CoverTreeError(
          .io, "path: \(given): leads to a file without a name, which cannot be replaced", code: EINVAL)
      }
    }
    // If another process has removed the file by now, nothing needs to be replaced.
    guard faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 || errno == ENOENT else { throw .io(path: given) }
  }

  private static func regularFile(_ file: Int32, path: String) throws(CoverTreeError) -> stat {
    let status = try stat(of: file, path: path)
    let kind = status.st_mode & S_IFMT
    guard status.isRegularFile else {
      throw CoverTreeError(
        .io, "path: \(path): expected a regular file or nothing there, got \(noun(kind))",
        code: kind == S_IFDIR ? EISDIR : EINVAL)
    }
    return status
  }

  /// The path of an existing file after all links; nil if there is another file, or none. A path below /proc can lead to an open file
  /// whose name was deleted.
  private static func resolved(_ given: String, _ status: stat) throws(CoverTreeError) -> String? {
    guard let path = try resolvedPath(given, "links to names") else { return nil }
    var named = stat()
    return lstat(path, &named) == 0 && areSame(named, status) ? path : nil
  }

  private static func areSame(_ a: stat, _ b: stat) -> Bool { a.st_dev == b.st_dev && a.st_ino == b.st_ino }

  private static func noun(_ kind: mode_t) -> String {
    switch kind {
    case S_IFDIR: "a directory"
    case S_IFIFO: "a pipe"
    case S_IFCHR, S_IFBLK: "a device"
    case S_IFSOCK: "a socket"
    default: "something else"
    }
  }

  /// Calls `fill` with a draft, and renames the draft.
  func write(_ fill: (Int32) throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    let folder = folder(of: path)
    FileDraft.removeAbandoned(in: folder)
    // A draft that replaces a file is private until it has the mode of that file.
    guard var draft = FileDraft(in: folder, mode: replaced == nil ? 0o666 : 0o600) else { throw .io(path: given) }
    // Closing the draft releases its lock, so it must have its name before.
    defer { close(draft.file) }
    do throws(CoverTreeError) {
      try keepOwnership(draft.file)
      try fill(draft.file)
      guard fsync(draft.file) == 0, draft.move(to: path) else { throw .io(path: given) }
    } catch {
      draft.remove()
      throw error
    }
    try syncFolder(of: path)
  }

  /// Gives a draft the owner, group and mode of the file that it replaces.
  private func keepOwnership(_ file: Int32) throws(CoverTreeError) {
    guard let replaced else { return }
    let own = try stat(of: file, path: given)
    if own.st_uid != replaced.st_uid || own.st_gid != replaced.st_gid {
      guard fchown(file, replaced.st_uid, replaced.st_gid) == 0 else {
        throw .io("path: \(given): owner \(replaced.st_uid) and group \(replaced.st_gid) of the file cannot be kept")
      }
    }
    guard fchmod(file, replaced.st_mode & 0o7777) == 0 else { throw .io(path: given) }
  }
}

/// The path at which a new file is created: the path itself, or the target of dangling symbolic links.
package func followed(_ given: String) throws(CoverTreeError) -> String {
  var path = given
  for _ in 0..<40 {  // as many as Linux follows
    let room = 4096
    let target = withUnsafeTemporaryAllocation(of: CChar.self, capacity: room + 1) { (target) -> String? in
      let length = readlink(path, target.baseAddress!, room)
      guard length > 0 else { return nil }
      target[length] = 0
      return String(validatingCString: target.baseAddress!)
    }
    guard let target else { return path }
    path = target.utf8.first == UInt8(ascii: "/") ? target : "\(folder(of: path))/\(target)"
  }
  throw CoverTreeError(.io, "path: \(given): \(String(cString: strerror(ELOOP)))", code: ELOOP)
}

func folder(of path: String) -> String {
  guard let end = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
  return end == path.startIndex ? "/" : String(path[..<end])
}

/// Makes a rename permanent: it is part of the folder's contents. Some file systems do not support this, and need not.
package func syncFolder(of path: String) throws(CoverTreeError) {
  let folder = folder(of: path)
  let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard file >= 0 else { return }  // A folder may be written to and not read.
  defer { close(file) }
  guard fsync(file) == 0 || errno == EINVAL || errno == ENOTSUP else { throw .io(path: folder) }
}
