import CovertreeBase

public enum IndexKind: Int32, Sendable {
  case bruteForce = 0
  case kdTree = 1
  case lsh = 2
  case hnsw = 3
}

/// The distance of vectors. Internally all are compared by a *score*, for which less is nearer: the squared Euclidean distance, or the
/// negative inner product.
public enum IndexMetric: Int32, Sendable {
  case euclidean = 0
  case squaredEuclidean = 1
  /// The negative inner product.
  case innerProduct = 2
  /// One less the cosine. Vectors are normalised when they are added, and half their squared distance is the result: it avoids the
  /// cancellation in one less a cosine.
  case cosine = 3

  var comparesProducts: Bool { self == .innerProduct }
  var normalizes: Bool { self == .cosine }

  @inline(__always)
  func distance(ofScore score: Double) -> Float {
    switch self {
    case .euclidean: Float(score.squareRoot())
    case .squaredEuclidean, .innerProduct: Float(score)
    case .cosine: Float(score / 2)
    }
  }

  /// The largest score whose distance is at most this, before or after `distance(ofScore:)` rounds it; nil if no score can be.
  func score(withinDistance distance: Double) -> Double? {
    switch self {
    case .innerProduct: Float.largestReported(within: distance)
    case .euclidean: distance >= 0 ? Float.largestScore(withinDistance: distance) : nil
    case .squaredEuclidean: distance >= 0 ? Float.largestReported(within: distance) : nil
    case .cosine: distance >= 0 ? 2 * Float.largestReported(within: distance) : nil
    }
  }
}

/// The stored form of a vector's coordinates.
public enum VectorStorage: Int32, Sendable {
  case float32 = 0
  case float16 = 1
  /// One byte per coordinate, and a scale for each vector.
  case int8 = 2
}

/// The search method of an LSH.
public enum LSHMode: Int32, Sendable {
  /// Codes of many bits, compared with all others.
  case codes = 0
  /// Tables of buckets, some of which are searched.
  case tables = 1
}

public struct IndexOptions: Sendable {
  public var kind = IndexKind.bruteForce
  public var metric = IndexMetric.euclidean
  public var storage = VectorStorage.float32
  /// Whether vectors are also stored in float32, in addition to a smaller form, and answers ranked by these.
  public var reranks = false
  public var seed: UInt64 = 0
  public var leafSize = 32
  public var split = SplitRule.medianOfVariance
  public var lshMode = LSHMode.codes
  public var tableCount = 8
  public var bitCount = 256
  public var probeCount = 16
  public var candidateCount = 200
  public var m = 16
  public var efConstruction = 200
  public var efSearch = 64

  public init() {}
}

/// The options of a search; 0 means the option of the index.
public struct IndexSearchOptions: Sendable {
  public var filter = IDFilter.all
  public var efSearch = 0
  public var probeCount = 0
  public var candidateCount = 0

  public init() {}

  /// These options, with the index's options in place of zeros.
  func completed(by index: IndexOptions) -> IndexSearchOptions {
    var options = self
    if efSearch <= 0 { options.efSearch = index.efSearch }
    if probeCount <= 0 { options.probeCount = index.probeCount }
    if candidateCount <= 0 { options.candidateCount = index.candidateCount }
    return options
  }
}

/// The vectors that may be found.
public enum IDFilter: @unchecked Sendable {
  case all
  case ids(UnsafeBufferPointer<Int64>)
  /// Bit `id % 8` of byte `id / 8`; ids beyond the last byte are excluded.
  case bitmap(UnsafeBufferPointer<UInt8>)
}

extension IndexOptions {
  /// Throws if an option does not belong to the kind.
  func check() throws(CoverTreeError) {
    func require(_ holds: Bool, _ message: @autoclosure () -> String) throws(CoverTreeError) {
      guard holds else { throw CoverTreeError(.invalidArgument, message()) }
    }
    func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(CoverTreeError) {
      let most = range.upperBound == 1 << 24 ? "2^24" : "\(range.upperBound)"
      try require(range.contains(value), "\(name): expected \(range.lowerBound) to \(most), got \(value)")
    }
    try check("leaf_size", leafSize, 1...65536)
    try check("m", m, 2...512)
    try check("ef_construction", efConstruction, 1...65536)
    try check("ef_search", efSearch, 1...1 << 24)
    try check("n_tables", tableCount, 1...256)
    try check("n_bits", bitCount, 1...(lshMode == .tables ? 24 : 8192))
    try require(
      lshMode == .codes || tableCount << bitCount <= 1 << 28,
      "n_tables: \(tableCount) tables of 2^\(bitCount) buckets are more than 2^28")
    try check("n_probes", probeCount, 1...65536)
    try check("n_candidates", candidateCount, 1...1 << 24)
    if kind == .kdTree {
      try require(metric != .innerProduct, "metric: a k-d tree knows no inner products; use another kind of index")
      try require(storage == .float32, "storage: a k-d tree keeps float32")
    }
  }

  /// Throws if rows of a store cannot be used.
  func checkPinned() throws(CoverTreeError) {
    guard kind != .kdTree || !metric.normalizes else {
      throw CoverTreeError(
        .invalidArgument, "metric: a k-d tree over a store compares unchanged vectors; use l2 or another kind")
    }
  }
}
