import CCovertree
import Covertree

// Everything that comes from the caller is checked here, before anything is computed from it.

enum Arguments {
  private static let maximumDimension: Int64 = 65536

  static func points(
    _ base: UnsafePointer<Float>?, _ rows: Int64, _ dim: Int64, _ stride: Int64, named name: String, minimum: Int64
  ) throws(CoverTreeError) -> AnyPoints {
    .float32(try view(base, rows, dim, stride, name, minimum))
  }

  static func points(
    _ base: UnsafePointer<Double>?, _ rows: Int64, _ dim: Int64, _ stride: Int64, named name: String, minimum: Int64
  ) throws(CoverTreeError) -> AnyPoints {
    .float64(try view(base, rows, dim, stride, name, minimum))
  }

  static func view<S: Scalar>(
    _ base: UnsafePointer<S>?, _ rows: Int64, _ dim: Int64, _ stride: Int64, _ name: String, _ minimum: Int64
  ) throws(CoverTreeError) -> PointsView<S> {
    guard rows >= minimum else {
      throw CoverTreeError(.shape, "\(name): expected at least \(minimum) rows, got \(rows)")
    }
    guard rows < Int64(Int32.max) else {
      throw CoverTreeError(.shape, "\(name): expected at most 2^31 - 2 rows, got \(rows)")
    }
    guard dim >= 1, dim <= maximumDimension else {
      throw CoverTreeError(.shape, "\(name): expected 1 to \(maximumDimension) columns, got \(dim)")
    }
    let size = Int64(MemoryLayout<S>.size)
    let stride = stride == 0 ? dim * size : stride
    guard stride >= dim * size, stride % size == 0, !stride.multipliedReportingOverflow(by: rows).overflow else {
      throw CoverTreeError(
        .shape, "\(name): a row stride of \(stride) bytes does not fit rows of \(dim) coordinates of \(size) bytes")
    }
    guard let base else {
      guard rows == 0 else { throw CoverTreeError(.invalidArgument, "\(name): is NULL") }
      return PointsView(base: UnsafePointer(bitPattern: 64)!, count: 0, dim: Int(dim), stride: Int(dim))
    }
    return PointsView(base: base, count: Int(rows), dim: Int(dim), stride: Int(stride / size))
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

  /// Rows of the tree by index; NULL asks for all of them.
  static func rows(
    _ base: UnsafePointer<Int64>?, _ count: Int64, _ copies: Copies
  ) throws(CoverTreeError) -> AnyCoverTree.Queries {
    guard let base else {
      guard count >= 0 else { throw CoverTreeError(.shape, "n_rows: expected the number of points, got \(count)") }
      return .allStored
    }
    return .stored(StoredIndices(try copies.elements(indices(base, count, named: "rows"))))
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

  static func context(
    threads: Int32, _ progress: covertree_progress_fn?, _ userData: UnsafeMutableRawPointer?
  ) throws(CoverTreeError) -> CallContext {
    guard threads >= 0, threads <= Int32(CallContext.maximumThreads) else {
      throw CoverTreeError(
        .invalidArgument, "n_threads: expected 0 to \(CallContext.maximumThreads), got \(threads)")
    }
    guard let progress else { return CallContext(threads: Int(threads)) }
    return CallContext(threads: Int(threads)) { share in progress(userData, share) == 0 }
  }
}

/// The context that a call's options ask for.
func callContext(_ options: UnsafePointer<covertree_call_options>?) throws(CoverTreeError) -> CallContext {
  let options = try covertree_call_options.read(options)
  return try Arguments.context(threads: options.n_threads, options.progress, options.progress_user_data)
}

/// An options struct of the header, as far as the caller's version of it goes.
protocol Options {
  init()
  var struct_size: UInt32 { get set }
}

extension covertree_tree_options: Options {}
extension covertree_call_options: Options {}
extension covertree_search_options: Options {}

extension Options {
  /// The defaults: zeros, and the size of the struct as this library knows it.
  static var defaults: Self {
    var options = Self()
    options.struct_size = UInt32(MemoryLayout<Self>.size)
    return options
  }

  /// A copy of what the caller gave: its fields, and defaults for those that its older header did not have. Fields that a
  /// newer header has are accepted only while they say nothing.
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
  /// - Parameter queries: how many there are.
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
    // A negative count is refused with the queries.
    let count = Int(max(0, queries))
    if let before { options.before = try copies.elements(UnsafeBufferPointer(start: before, count: count)) }
    if let limits { options.limits = try copies.elements(UnsafeBufferPointer(start: limits, count: count)) }
    options.scores = scores
    options.listsScores = flags & COVERTREE_SEARCH_SCORES.rawValue != 0
    return options
  }
}
