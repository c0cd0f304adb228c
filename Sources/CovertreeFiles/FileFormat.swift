import CovertreeBase

/// The format of the library's files: `docs/file-format.md` byte by byte.
///
/// A header of 64 bytes, a table with an entry of 64 bytes for each section, and the sections, each an array that begins at a multiple of
/// 64, so that a mapped file is used in place. All numbers are little-endian.
enum FileFormat {
  /// A transfer as text would change the line ends in it.
  static let magic: [UInt8] = [0x89, 0x43, 0x56, 0x54, 0x0D, 0x0A, 0x1A, 0x0A]
  static let byteOrder: UInt32 = 0x0A0B_0C0D
  static let version: UInt32 = 1
  static let headerBytes = 64
  static let entryBytes = 64
  static let nameBytes = 24
  static let alignment = 64

  static func aligned(_ offset: Int) -> Int { (offset + alignment - 1) / alignment * alignment }

  /// The offsets of the header's fields.
  enum Header {
    static let byteOrder = 8
    static let version = 12
    static let kind = 16
    static let sectionCount = 20
    static let byteCount = 24
    static let inputHash = 32
    /// Of the header before it, and of the table. Zeros are between the two.
    static let checksum = 60
  }

  /// The offsets of the fields of a table's entry, after the name; zeros follow.
  enum Entry {
    static let type = 24
    static let checksum = 28
    static let offset = 32
    static let rows = 40
    static let columns = 48
  }
}

public enum FileKind: UInt32, Sendable {
  case tree = 1
  case residual = 2
  /// Only the caller's sections.
  case arrays = 3
  case index = 4
  case vif = 5
  /// A tree of a caller's metric.
  case function = 6

  /// Whether the library may have a section of this name in files of the kind. Not every file has all of them. A caller's section must
  /// have another name.
  func owns(_ name: String) -> Bool {
    ownNames.contains { $0 == name || $0.hasSuffix(".") && name.hasPrefix($0) }
  }

  private var ownNames: [String] {
    switch self {
    case .tree:
      [
        "settings", "boxes.", "points", "order", "levels", "parents", "children", "children_offsets", "radius",
        "subtree_end", "subtree_min", "subtree_max", "removed",
      ]
    case .function: ["removed"]
    case .residual: ["regions.", "products."]
    case .arrays: []
    case .vif: ["whitening.", "inner."]
    case .index: ["boxes.", "exact.", "store.", "small.", "planes.", "graph.", "codes", "buckets"]
    }
  }
}

/// Elements of a section.
public enum ElementType: UInt32, Sendable {
  case float32 = 1
  case float64 = 2
  case int32 = 3
  case int64 = 4
  case uint8 = 5

  public var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .float64, .int64: 8
    case .uint8: 1
    }
  }
}

package protocol StorableElement: BitwiseCopyable {
  static var elementType: ElementType { get }
}

extension Float: StorableElement { package static var elementType: ElementType { .float32 } }
extension Double: StorableElement { package static var elementType: ElementType { .float64 } }
extension Int32: StorableElement { package static var elementType: ElementType { .int32 } }
extension Int64: StorableElement { package static var elementType: ElementType { .int64 } }
extension UInt8: StorableElement { package static var elementType: ElementType { .uint8 } }

/// A named array in a file, or on its way into one: `rows x columns` elements without gaps.
public struct Section: @unchecked Sendable {
  public let name: String
  public let type: ElementType
  public let rows: Int
  public let columns: Int
  public let data: UnsafeRawPointer
  /// Keeps the data alive.
  let owner: AnyObject?

  public var byteCount: Int { rows * columns * type.byteCount }
  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: byteCount) }

  /// - Parameter data: borrowed, unless it has an owner, until the section's image has been written.
  public init(
    name: String, type: ElementType, rows: Int, columns: Int, data: UnsafeRawPointer, owner: AnyObject? = nil
  ) {
    (self.name, self.type, self.rows, self.columns) = (name, type, rows, columns)
    (self.data, self.owner) = (data, owner)
  }

  package init<E: StorableElement>(_ name: String, _ buffer: Buffer<E>, columns: Int = 1) {
    self.init(
      name: name, type: E.elementType, rows: columns == 0 ? 0 : buffer.count / columns, columns: columns,
      data: UnsafeRawPointer(buffer.base), owner: buffer)
  }
}
