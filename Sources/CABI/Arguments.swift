import CCovertree
import Covertree
import CovertreeBase

// All input of the caller is checked here, before it is used.

enum Arguments {
  private static let maximumDimension: Int64 = 65536

  /// A copy of the struct, which another thread could change between a check and its use.
  static func matrix(
    _ matrix: UnsafePointer<covertree_matrix>?, _ name: String
  ) throws(CoverTreeError) -> covertree_matrix {
    guard let matrix = matrix?.pointee else { throw CoverTreeError(.invalidArgument, "\(name): is NULL") }
    return matrix
  }

  /// Coordinates of a type that is known only at run time.
  static func points(_ matrix: covertree_matrix, _ name: String, minimum: Int64) throws(CoverTreeError) -> AnyPoints {
    switch covertree_dtype(rawValue: UInt32(bitPattern: matrix.dtype)) {
    case COVERTREE_DTYPE_F32: .float32(try view(matrix, name, minimum: minimum))
    case COVERTREE_DTYPE_F64: .float64(try view(matrix, name, minimum: minimum))
    default: throw unexpected(matrix, name, "COVERTREE_DTYPE_F32 or COVERTREE_DTYPE_F64")
    }
  }

  /// Coordinates of one type.
  static func view<S: Scalar & MatrixElement>(
    _ matrix: covertree_matrix, _ name: String, minimum: Int64
  ) throws(CoverTreeError) -> PointsView<S> {
    guard matrix.dtype == S.dtype else { throw unexpected(matrix, name, S.dtypeName) }
    let stride = try rowStride(matrix, of: S.self, name, minimum: minimum)
    let (rows, dim) = (Int(matrix.rows), Int(matrix.columns))
    guard let base = matrix.data else {
      guard rows == 0 else { throw CoverTreeError(.invalidArgument, "\(name): is NULL") }
      return PointsView(base: UnsafePointer(bitPattern: 64)!, count: 0, dim: dim, stride: dim)
    }
    return PointsView(
      base: base.assumingMemoryBound(to: S.self), count: rows, dim: dim, stride: stride / MemoryLayout<S>.size)
  }

  static func view<S: Scalar & MatrixElement>(
    _ matrix: UnsafePointer<covertree_matrix>?, _ name: String, minimum: Int64
  ) throws(CoverTreeError) -> PointsView<S> {
    try view(self.matrix(matrix, name), name, minimum: minimum)
  }

  /// Numbers of points, one per row; nil for all points.
  static func numbers(
    _ matrix: covertree_matrix, _ name: String, _ copies: Copies
  ) throws(CoverTreeError) -> UnsafeBufferPointer<Int64>? {
    let stride = try rowStride(matrix, of: Int64.self, name, minimum: 0)
    guard matrix.columns == 1 else {
      throw CoverTreeError(.shape, "\(name): expected 1 column of COVERTREE_DTYPE_I64, got \(matrix.columns)")
    }
    guard let base = matrix.data else { return nil }
    return try copies.numbers(base, count: Int(matrix.rows), stride: stride)
  }

  static func dimension(_ dim: Int64) throws(CoverTreeError) -> Int {
    guard dim >= 1, dim <= maximumDimension else {
      throw CoverTreeError(.shape, "dim: expected 1 to \(maximumDimension) columns, got \(dim)")
    }
    return Int(dim)
  }

  static func isNumbers(_ matrix: covertree_matrix) -> Bool { matrix.dtype == Int64.dtype }

  static func unexpected(_ matrix: covertree_matrix, _ name: String, _ expected: String) -> CoverTreeError {
    CoverTreeError(.invalidArgument, "\(name).dtype: expected \(expected), got \(matrix.dtype)")
  }

  /// The bytes from row to row of a matrix, whose sizes are checked.
  private static func rowStride<Element>(
    _ matrix: covertree_matrix, of: Element.Type, _ name: String, minimum: Int64
  ) throws(CoverTreeError) -> Int {
    let (rows, columns) = (matrix.rows, matrix.columns)
    guard matrix.reserved == 0 else {
      throw CoverTreeError(.unsupported, "\(name).reserved: expected 0, got \(matrix.reserved)")
    }
    guard rows >= minimum else {
      throw CoverTreeError(.shape, "\(name): expected at least \(minimum) rows, got \(rows)")
    }
    guard rows < Int64(Int32.max) else {
      throw CoverTreeError(.shape, "\(name): expected at most 2^31 - 2 rows, got \(rows)")
    }
    guard columns >= 1, columns <= maximumDimension else {
      throw CoverTreeError(.shape, "\(name): expected 1 to \(maximumDimension) columns, got \(columns)")
    }
    let size = Int64(MemoryLayout<Element>.size)
    let stride = matrix.row_stride == 0 ? columns * size : matrix.row_stride
    guard stride >= columns * size, stride % size == 0, !stride.multipliedReportingOverflow(by: rows).overflow else {
      throw CoverTreeError(
        .shape, "\(name): a row stride of \(stride) bytes does not fit rows of \(columns) coordinates of \(size) bytes")
    }
    return Int(stride)
  }

  static func indices(
    _ base: UnsafePointer<Int64>?, _ count: Int64, named name: String
  ) throws(CoverTreeError) -> UnsafeBufferPointer<Int64> {
    guard count >= 0, count < Int64(Int32.max) else {
      throw CoverTreeError(.shape, "\(name): expected 0 to 2^31 - 2 of them, got \(count)")
    }
    guard base != nil || count == 0 else { throw CoverTreeError(.invalidArgument, "\(name): is NULL") }
    return UnsafeBufferPointer(start: base, count: Int(count))
  }

  static func neighborCount(_ k: Int64, queries: Int64) throws(CoverTreeError) -> Int {
    guard k >= 1 else { throw CoverTreeError(.invalidArgument, "k: expected at least 1, got \(k)") }
    let (cells, overflow) = k.multipliedReportingOverflow(by: max(queries, 1))
    guard !overflow, cells < 1 << 60 else {
      throw CoverTreeError(.invalidArgument, "k: results of \(queries) x \(k) are too large")
    }
    return Int(k)
  }

  static func output<T>(
    _ pointer: UnsafeMutablePointer<T>?, named name: String
  ) throws(CoverTreeError) -> UnsafeMutablePointer<T> {
    guard let pointer else { throw CoverTreeError(.invalidArgument, "\(name): is NULL") }
    return pointer
  }
}

/// An element type of matrices.
protocol MatrixElement {
  static var dtype: Int32 { get }
  static var dtypeName: String { get }
}

extension Float: MatrixElement {
  static var dtype: Int32 { Int32(COVERTREE_DTYPE_F32.rawValue) }
  static var dtypeName: String { "COVERTREE_DTYPE_F32" }
}

extension Double: MatrixElement {
  static var dtype: Int32 { Int32(COVERTREE_DTYPE_F64.rawValue) }
  static var dtypeName: String { "COVERTREE_DTYPE_F64" }
}

extension Int64: MatrixElement {
  static var dtype: Int32 { Int32(COVERTREE_DTYPE_I64.rawValue) }
  static var dtypeName: String { "COVERTREE_DTYPE_I64" }
}

/// The context for a call's options.
func callContext(_ options: UnsafePointer<covertree_call_options>?) throws(CoverTreeError) -> CallContext {
  try covertree_call_options.read(options).context()
}

/// An options struct of the header, up to the end of the caller's version.
protocol Options {
  init()
  var struct_size: UInt32 { get set }
}

/// The options of a call.
protocol CallOptions: Options {
  var n_threads: Int32 { get }
  var progress: covertree_progress_fn! { get }
  var progress_user_data: UnsafeMutableRawPointer! { get }
}

extension covertree_tree_options: CallOptions {}
extension covertree_call_options: CallOptions {}
extension covertree_search_options: CallOptions {}

extension CallOptions {
  func context() throws(CoverTreeError) -> CallContext {
    guard n_threads >= 0, n_threads <= Int32(CallContext.maximumThreads) else {
      throw CoverTreeError(.invalidArgument, "n_threads: expected 0 to \(CallContext.maximumThreads), got \(n_threads)")
    }
    guard let progress else { return CallContext(threads: Int(n_threads)) }
    let userData = progress_user_data
    return CallContext(threads: Int(n_threads)) { share in progress(userData, share) == 0 }
  }
}

extension Options {
  /// The defaults: zeros, and the size of the struct in this library.
  static var defaults: Self {
    var options = Self()
    options.struct_size = UInt32(MemoryLayout<Self>.size)
    return options
  }

  /// A copy of the caller's options, with defaults for fields that its older header does not have. Fields of a newer header are accepted
  /// only if they are zero.
  static func read(_ given: UnsafePointer<Self>?) throws(CoverTreeError) -> Self {
    guard let given else { return defaults }
    let raw = UnsafeRawPointer(given)
    let claimed = Int(raw.load(as: UInt32.self))
    let known = MemoryLayout<Self>.size
    // No version of a struct ends within a field.
    guard claimed >= 8, claimed <= 4096, claimed % MemoryLayout<Self>.alignment == 0 else {
      throw CoverTreeError(
        .invalidArgument, "options: struct_size is \(claimed); fill the struct with its _options_init first")
    }
    for offset in stride(from: known, to: max(known, claimed), by: 1) {
      guard raw.load(fromByteOffset: offset, as: UInt8.self) == 0 else {
        throw CoverTreeError(.unsupported, "options: a field of a later version is set; this library does not know it")
      }
    }
    var options = defaults
    withUnsafeMutableBytes(of: &options) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: min(claimed, known)))
    }
    options.struct_size = UInt32(known)
    return options
  }
}

extension covertree_tree_options {
  func checked() throws(CoverTreeError) -> TreeOptions {
    guard let order = PointOrder(rawValue: order) else {
      throw CoverTreeError(.invalidArgument, "order: expected a covertree_order, got \(order)")
    }
    guard leaf_size >= 0, leaf_size <= 65536 else {
      throw CoverTreeError(.invalidArgument, "leaf_size: expected 1 to 65536, or 0 for the default, got \(leaf_size)")
    }
    var options = TreeOptions()
    options.order = order
    options.seed = seed
    if leaf_size > 0 { options.leafSize = Int(leaf_size) }
    return options
  }
}

extension covertree_search_options {
  /// - Parameter queries: the number of queries.
  func checked(queries: Int64, _ copies: Copies) throws(CoverTreeError) -> SearchOptions {
    let known =
      COVERTREE_SEARCH_PREDECESSORS.rawValue | COVERTREE_SEARCH_EXCLUDE_SELF.rawValue
      | COVERTREE_SEARCH_MAX_DISTANCE.rawValue | COVERTREE_SEARCH_SCORES.rawValue
    guard flags & ~known == 0, reserved == 0 else {
      throw CoverTreeError(.unsupported, "options: unknown search flags \(flags & ~known)")
    }
    var options = SearchOptions()
    options.predecessorsOnly = flags & COVERTREE_SEARCH_PREDECESSORS.rawValue != 0
    options.excludesSelf = flags & COVERTREE_SEARCH_EXCLUDE_SELF.rawValue != 0
    if flags & COVERTREE_SEARCH_MAX_DISTANCE.rawValue != 0 { options.maximumDistance = max_distance }
    // A negative count is rejected with the queries.
    let count = Int(max(0, queries))
    if let before { options.before = try copies.elements(UnsafeBufferPointer(start: before, count: count)) }
    if let limits { options.limits = try copies.elements(UnsafeBufferPointer(start: limits, count: count)) }
    options.scores = scores
    options.listsScores = flags & COVERTREE_SEARCH_SCORES.rawValue != 0
    return options
  }
}
