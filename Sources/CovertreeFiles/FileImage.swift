import CovertreeBase
import Glibc

/// The image of a file: sections in memory, to be written in one step or copied to one buffer.
public struct FileImage {
  let kind: FileKind
  let inputHash: UInt64
  private(set) var sections: [Section]

  public init(kind: FileKind, inputHash: UInt64, sections: [Section]) {
    (self.kind, self.inputHash, self.sections) = (kind, inputHash, sections)
  }

  /// The image with the caller's sections after the library's.
  public func adding(_ more: [Section]) throws(CoverTreeError) -> FileImage {
    var image = self
    for section in more {
      let bytes = Array(section.name.utf8)
      guard !bytes.isEmpty, bytes.count <= FileFormat.nameBytes, bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
        throw CoverTreeError(
          .invalidArgument,
          "sections: a name has 1 to \(FileFormat.nameBytes) visible ASCII characters, got \"\(section.name)\"")
      }
      guard !kind.owns(section.name), !image.sections.contains(where: { $0.name == section.name }) else {
        throw CoverTreeError(.invalidArgument, "sections: expected distinct names, got \"\(section.name)\" twice")
      }
      image.sections.append(section)
    }
    return image
  }

  /// The start of each section, and the end of the file.
  private var layout: (offsets: [Int], byteCount: Int) {
    var next = FileFormat.headerBytes + sections.count * FileFormat.entryBytes
    let offsets = sections.map { section in
      defer { next += FileFormat.aligned(section.byteCount) }
      return next
    }
    return (offsets, next)
  }

  private var byteCount: Int { layout.byteCount }

  /// The header and the table.
  private func head(context: CallContext) throws(CoverTreeError) -> Buffer<UInt8> {
    let (offsets, byteCount) = layout
    let head = try Buffer<UInt8>(count: FileFormat.headerBytes + sections.count * FileFormat.entryBytes, filledWith: 0)
    func put<N: FixedWidthInteger & BitwiseCopyable>(_ number: N, at offset: Int) {
      UnsafeMutableRawPointer(head.base + offset).storeBytes(of: number.littleEndian, as: N.self)
    }
    for (index, byte) in FileFormat.magic.enumerated() { head[index] = byte }
    put(FileFormat.byteOrder, at: FileFormat.Header.byteOrder)
    put(FileFormat.version, at: FileFormat.Header.version)
    put(kind.rawValue, at: FileFormat.Header.kind)
    put(UInt32(sections.count), at: FileFormat.Header.sectionCount)
    put(UInt64(byteCount), at: FileFormat.Header.byteCount)
    put(inputHash, at: FileFormat.Header.inputHash)
    for (index, section) in sections.enumerated() {
      let entry = FileFormat.headerBytes + index * FileFormat.entryBytes
      for (index, byte) in section.name.utf8.enumerated() { head[entry + index] = byte }
      put(section.type.rawValue, at: entry + FileFormat.Entry.type)
      put(try Checksum.ofSection(section.bytes, context: context), at: entry + FileFormat.Entry.checksum)
      put(UInt64(offsets[index]), at: entry + FileFormat.Entry.offset)
      put(UInt64(section.rows), at: entry + FileFormat.Entry.rows)
      put(UInt64(section.columns), at: entry + FileFormat.Entry.columns)
    }
    put(headChecksum(UnsafeRawBufferPointer(head.elements)), at: FileFormat.Header.checksum)
    return head
  }

  /// Passes on the bytes of the file from the first to the last, piece by piece.
  private func forEachPiece(
    context: CallContext, _ body: (UnsafeRawBufferPointer) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    context.stage(from: 0, to: 0.3)
    let head = try head(context: context)
    context.stage(from: 0.3, to: 1)
    try body(UnsafeRawBufferPointer(head.elements))
    let zeros = try Buffer<UInt8>(count: FileFormat.alignment, filledWith: 0)
    var done = head.count
    let total = Double(byteCount)
    for section in sections {
      for first in stride(from: 0, to: section.byteCount, by: 8 << 20) {
        try context.poll(share: Double(done) / total)
        let piece = section.bytes[first..<min(section.byteCount, first + 8 << 20)]
        try body(UnsafeRawBufferPointer(rebasing: piece))
        done += piece.count
      }
      let padding = FileFormat.aligned(section.byteCount) - section.byteCount
      try body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(zeros.elements)[0..<padding]))
      done += padding
    }
  }

  /// The file in memory.
  func copy(context: CallContext) throws(CoverTreeError) -> Buffer<UInt8> {
    let memory = try Buffer<UInt8>(count: byteCount)
    var next = 0
    try forEachPiece(context: context) { (piece) throws(CoverTreeError) in
      guard let from = piece.baseAddress else { return }
      UnsafeMutableRawPointer(memory.base + next).copyMemory(from: from, byteCount: piece.count)
      next += piece.count
    }
    return memory
  }

  /// Writes the file in one step (`FileReplacement`). If that fails, an old file is unchanged.
  public func write(to path: String, context: CallContext) throws(CoverTreeError) {
    try FileReplacement(path).write { (file) throws(CoverTreeError) in
      try forEachPiece(context: context) { (piece) throws(CoverTreeError) in
        try writeAll(piece.count, path: path) { Glibc.write(file, piece.baseAddress! + $0, piece.count - $0) }
      }
    }
  }
}

/// The CRC-32C of a header up to its own field, and of the table behind it.
func headChecksum(_ head: UnsafeRawBufferPointer) -> UInt32 {
  let before = Checksum.crc(UnsafeRawBufferPointer(rebasing: head[..<FileFormat.Header.checksum]))
  return Checksum.crc(UnsafeRawBufferPointer(rebasing: head[FileFormat.headerBytes...]), after: before)
}
