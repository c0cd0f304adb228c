import CCovertree
import Covertree
import CovertreeBase

// All input of the caller is checked here, before it is used.

/// A pointer of the caller to something that is read, [in] in the header. A struct is copied, because another thread could change it
/// between a check and its use.
public typealias In<Pointee> = UnsafePointer<Pointee>?
/// A pointer of the caller to memory for results, [out] in the header.
public typealias Out<Pointee> = UnsafeMutablePointer<Pointee>?
public typealias Handle = OpaquePointer?

/// A pointer that may not be NULL.
func required<Pointer>(_ pointer: Pointer?, _ name: String) throws(CoverTreeError) -> Pointer {
  guard let pointer else { throw CoverTreeError(.invalidArgument, "\(name): is NULL") }
  return pointer
}

enum Arguments {
  private static let maximumDimension: Int64 = 65536

  /// Coordinates of a type that is known only at run time.
  static func points(_ matrix: covertree_matrix, _ name: String, minimum: Int64) throws(CoverTreeError) -> AnyPoints {
    switch covertree_dtype(rawValue: UInt32(bitPattern: matrix.dtype)) {
    case COVERTREE_DTYPE_F32: .float32(try view(matrix, name, minimum: minimum))
    case COVERTREE_DTYPE_F64: .float64(try view(matrix, name, minimum: minimum))
    default: throw unexpected(matrix, name, "COVERTREE_DTYPE_F32 or COVERTREE_DTYPE_F64")
    }
  }

  static func view<S: Scalar & MatrixElement>(
    _ matrix: covertree_matrix, _ name: String, minimum: Int64
  ) throws(CoverTreeError) -> PointsView<S> {
    guard matrix.dtype == S.dtype else { throw unexpected(matrix, name, S.dtypeName) }
    let stride = try rowStride(matrix, of: S.self, name, minimum: minimum)
    let (rows, dim) = (Int(matrix.rows), Int(matrix.columns))
    if matrix.data == nil, rows == 0 {
      return PointsView(base: UnsafePointer(bitPattern: 64)!, count: 0, dim: dim, stride: dim)
    }
    let base = try required(matrix.data, name).assumingMemoryBound(to: S.self)
    return PointsView(base: base, count: rows, dim: dim, stride: stride / MemoryLayout<S>.size)
  }

  static func view<S: Scalar & MatrixElement>(
    _ matrix: In<covertree_matrix>, _ name: String, minimum: Int64
  ) throws(CoverTreeError) -> PointsView<S> {
    try view(required(matrix, name).pointee, name, minimum: minimum)
  }

  static func points(
    _ matrix: In<covertree_matrix>, _ name: String, minimum: Int64
  ) throws(CoverTreeError) -> AnyPoints {
    try points(required(matrix, name).pointee, name, minimum: minimum)
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

  static func isObjects(_ matrix: covertree_matrix) -> Bool { matrix.dtype == Int32(COVERTREE_DTYPE_OBJECT.rawValue) }

  /// Objects for a distance function: numbers of the caller's objects, or coordinates.
  static func objects(_ matrix: covertree_matrix, _ name: String, minimum: Int64) throws(CoverTreeError) -> ObjectsView
  {
    guard isObjects(matrix) else { return ObjectsView(try points(matrix, name, minimum: minimum)) }
    let stride = try rowStride(matrix, of: Int64.self, name, minimum: minimum)
    guard matrix.columns == 1 else {
      throw CoverTreeError(.shape, "\(name): expected 1 column of COVERTREE_DTYPE_OBJECT, got \(matrix.columns)")
    }
    let isEmpty = matrix.data == nil && matrix.rows == 0
    let base = isEmpty ? UnsafeRawPointer(bitPattern: 64)! : UnsafeRawPointer(try required(matrix.data, name))
    return ObjectsView(base: base, type: .number, count: Int(matrix.rows), stride: stride)
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

  static func neighborCount(_ k: Int64, queries: Int64) throws(CoverTreeError) -> Int {
    guard k >= 1 else { throw CoverTreeError(.invalidArgument, "k: expected at least 1, got \(k)") }
    let (cells, overflow) = k.multipliedReportingOverflow(by: max(queries, 1))
    guard !overflow, cells < 1 << 60 else {
      throw CoverTreeError(.invalidArgument, "k: results of \(queries) x \(k) are too large")
    }
    return Int(k)
  }

  static func threadCount(_ count: Int32) throws(CoverTreeError) -> Int {
    guard count >= 0, count <= Int32(CallContext.maximumThreads) else {
      throw CoverTreeError(.invalidArgument, "n_threads: expected 0 to \(CallContext.maximumThreads), got \(count)")
    }
    return Int(count)
  }

  /// A case of an enumeration of the header.
  static func known<Case: RawRepresentable<Int32>>(
    _ value: Int32, _ name: String, _ type: String
  ) throws(CoverTreeError) -> Case {
    guard let known = Case(rawValue: value) else {
      throw CoverTreeError(.invalidArgument, "\(name): expected a \(type), got \(value)")
    }
    return known
  }
}

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

func callContext(_ options: In<covertree_call_options>) throws(CoverTreeError) -> CallContext {
  try covertree_call_options.read(options).context()
}

/// An options struct of the header, up to the end of the caller's version.
protocol Options {
  init()
  var struct_size: UInt32 { get set }
}

protocol CallOptions: Options {
  var n_threads: Int32 { get }
  var progress: covertree_progress_fn! { get }
  var progress_user_data: UnsafeMutableRawPointer! { get }
}

extension covertree_call_options: CallOptions {}

extension CallOptions {
  func context() throws(CoverTreeError) -> CallContext {
    let threads = try Arguments.threadCount(n_threads)
    guard let progress else { return CallContext(threads: threads) }
    let userData = progress_user_data
    return CallContext(threads: threads) { share in progress(userData, share) == 0 }
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
  static func read(_ given: In<Self>) throws(CoverTreeError) -> Self {
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

extension covertree_tree_options: CallOptions {
  /// - Parameter dim: coordinates of a point.
  func checked(dim: Int) throws(CoverTreeError) -> TreeOptions {
    var options = try checked()
    guard degrees == 0 || degrees == 1 else {
      throw CoverTreeError(.invalidArgument, "degrees: expected 0 or 1, got \(degrees)")
    }
    let kind: MetricKind = try Arguments.known(metric, "metric", "covertree_distance")
    func numbers(_ base: UnsafePointer<Double>?, _ count: Int) -> [Double] {
      base.map { Array(UnsafeBufferPointer(start: $0, count: count)) } ?? []
    }
    var parameters = MetricParameters()
    (parameters.exponent, parameters.weights, parameters.periods) = (
      exponent, numbers(weights, dim), numbers(periods, dim)
    )
    parameters.isInDegrees = degrees != 0
    if radius != 0 { parameters.radius = radius }
    if kind == .mahalanobis {
      parameters.inverseCovariance = numbers(try required(inverse_covariance, "inverse_covariance"), dim * dim)
    }
    if kind != .euclidean || weights != nil || periods != nil {
      options.metric = try TreeMetric(kind, dim: dim, parameters)
    }
    return options
  }

  /// The caller's metric; nil for a metric of the library.
  func distanceFunction(columns: Int) throws(CoverTreeError) -> DistanceFunction? {
    guard metric == Int32(COVERTREE_DISTANCE_FUNCTION.rawValue) else { return nil }
    let function = try required(distance_fn, "distance_fn")
    let userData = distance_user_data
    let identity = DistanceFunction.Identity(
      function: UInt(bitPattern: unsafeBitCast(function, to: Int.self)), data: UInt(bitPattern: userData))
    return DistanceFunction(identity) { (count, left, right, distances) throws(CoverTreeError) in
      guard function(userData, Int64(count), Int64(columns), left, right, distances) == 0 else {
        throw CoverTreeError(.cancelled, "distance_fn: ended the call")
      }
    }
  }

  /// The options apart from the metric.
  func checked() throws(CoverTreeError) -> TreeOptions {
    var options = TreeOptions()
    options.order = try Arguments.known(order, "order", "covertree_order")
    guard leaf_size >= 0, leaf_size <= 65536 else {
      throw CoverTreeError(.invalidArgument, "leaf_size: expected 1 to 65536, or 0 for the default, got \(leaf_size)")
    }
    options.seed = seed
    if leaf_size > 0 { options.leafSize = Int(leaf_size) }
    return options
  }
}

extension covertree_search_options: CallOptions {
  /// Options of a search in a tree or a residual model.
  ///
  /// - Parameter queries: the number of queries.
  func checked(queries: Int64, _ copies: Copies) throws(CoverTreeError) -> SearchOptions {
    var options = try withoutFilter(queries, copies)
    guard n_admitted >= 0, n_admitted < Int64(Int32.max), admitted != nil || n_admitted == 0 else {
      throw CoverTreeError(
        .shape, "n_admitted: expected the number of dataset indices, or 0 without admitted, got \(n_admitted)")
    }
    if let admitted {
      options.admitted = try copies.elements(UnsafeBufferPointer(start: admitted, count: Int(n_admitted)))
    }
    guard let max_distances else { return options }
    guard flags & COVERTREE_SEARCH_MAX_DISTANCE.rawValue == 0 else {
      throw CoverTreeError(
        .invalidArgument, "max_distances: cannot be combined with COVERTREE_SEARCH_MAX_DISTANCE, for all queries")
    }
    options.maximumDistances = try copies.elements(
      UnsafeBufferPointer(start: max_distances, count: Int(max(0, queries))))
    return options
  }

  private func withoutFilter(_ queries: Int64, _ copies: Copies) throws(CoverTreeError) -> SearchOptions {
    let known =
      COVERTREE_SEARCH_PREDECESSORS.rawValue | COVERTREE_SEARCH_EXCLUDE_SELF.rawValue
      | COVERTREE_SEARCH_MAX_DISTANCE.rawValue | COVERTREE_SEARCH_SCORES.rawValue
    guard flags & ~known == 0, reserved == 0 else {
      throw CoverTreeError(.unsupported, "options: unknown search flags \(flags & ~known)")
    }
    func has(_ flag: covertree_search_flags) -> Bool { flags & flag.rawValue != 0 }
    var options = SearchOptions()
    options.predecessorsOnly = has(COVERTREE_SEARCH_PREDECESSORS)
    options.excludesSelf = has(COVERTREE_SEARCH_EXCLUDE_SELF)
    if has(COVERTREE_SEARCH_MAX_DISTANCE) { options.maximumDistance = max_distance }
    // A negative count is rejected with the queries.
    let count = Int(max(0, queries))
    if let before { options.before = try copies.elements(UnsafeBufferPointer(start: before, count: count)) }
    if let limits { options.limits = try copies.elements(UnsafeBufferPointer(start: limits, count: count)) }
    options.scores = scores
    options.listsScores = has(COVERTREE_SEARCH_SCORES)
    return options
  }
}
