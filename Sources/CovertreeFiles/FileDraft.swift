import CovertreeBase
import Glibc

/// A file that is being written, in the folder of the file that it will replace.
///
/// A draft has no name until all of it is written, so a killed process leaves nothing behind. If the system cannot name a file later, the
/// draft has a random name from the beginning. The process holds a lock (`flock`) on its draft: a draft with a name and without a lock is
/// left from a killed process.
struct FileDraft {
  /// For writing.
  let file: Int32
  private let folder: String
  /// The path; nil before the draft has a name.
  private var path: String?

  /// nil, with `errno`, if a file cannot be created there.
  init?(in folder: String, mode: mode_t) {
    if let file = Self.openNameless(folder, mode) {
      (self.file, path) = (file, nil)
    } else if let (file, path) = Self.openNamed(folder, mode) {
      (self.file, self.path) = (file, path)
    } else {
      return nil
    }
    self.folder = folder
  }

  private static func openNameless(_ folder: String, _ mode: mode_t) -> Int32? {
    let isNameless: Int32 = 0o20000000 | O_DIRECTORY  // O_TMPFILE, which Swift lacks
    let file = open(folder, O_WRONLY | isNameless | O_CLOEXEC, mode)
    guard file >= 0 else { return nil }
    // The name is given through /proc, which not every machine has.
    guard access(handle(of: file), F_OK) == 0, holds(file, links: 0) else {
      close(file)
      return nil
    }
    return file
  }

  private static func openNamed(_ folder: String, _ mode: mode_t) -> (file: Int32, path: String)? {
    while true {
      let path = randomPath(in: folder)
      let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
      if file >= 0 {
        if holds(file, links: 1) { return (file, path) }
        close(file)
      } else if errno != EEXIST {
        return nil
      }
    }
  }

  /// Whether a new draft is ours: another process may have removed it before it was locked.
  private static func holds(_ file: Int32, links: nlink_t) -> Bool {
    // In a file system without locks no draft is removed.
    guard flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else { return false }
    var status = stat()
    return fstat(file, &status) == 0 && status.st_nlink == links
  }

  private static func handle(of file: Int32) -> String { "/proc/self/fd/\(file)" }

  /// Moves the draft to another path, and replaces an existing file.
  ///
  /// - Returns: false, with `errno`, if that fails.
  mutating func move(to target: String) -> Bool {
    guard let named = path ?? giveName() else { return false }
    path = named
    guard rename(named, target) == 0 else { return false }
    path = nil
    return true
  }

  private func giveName() -> String? {
    while true {
      let path = Self.randomPath(in: folder)
      if linkat(AT_FDCWD, Self.handle(of: file), AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 { return path }
      guard errno == EEXIST else { return nil }
    }
  }

  func remove() {
    if let path { unlink(path) }
  }

  // MARK: Names

  private static var prefix: String { ".covertree-" }
  private static var suffix: String { ".partial" }

  private static func randomPath(in folder: String) -> String {
    "\(folder)/\(prefix)\(String(UInt64.random(in: .min ... .max), radix: 36))\(suffix)"
  }

  private static func isDraft(_ name: String) -> Bool {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return false }
    let middle = name.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
    let (digits, letters) = (UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"))
    return (1...16).contains(middle.count) && middle.allSatisfy { digits.contains($0) || letters.contains($0) }
  }

  /// Removes drafts that killed processes left in a folder, as far as possible.
  static func removeAbandoned(in folder: String) {
    guard let list = opendir(folder) else { return }
    defer { closedir(list) }
    while let entry = readdir(list) {
      guard entry.pointee.d_name.0 == CChar(bitPattern: UInt8(ascii: ".")) else { continue }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { (name) -> String? in
        String(validatingCString: UnsafeRawPointer(name).assumingMemoryBound(to: CChar.self))
      }
      if let name, isDraft(name) { removeIfAbandoned("\(folder)/\(name)") }
    }
  }

  private static func removeIfAbandoned(_ path: String) {
    let file = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard file >= 0 else { return }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.isRegularFile else { return }
    if flock(file, LOCK_EX | LOCK_NB) == 0 { unlink(path) }
  }
}
