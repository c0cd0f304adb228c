import CNumerics
import CovertreeBase

/// A query prepared for comparison with the rows of a table; a thread's scratch for one query after the other.
///
/// The kernels' arguments are behind pointers of its own, so the loops around them neither check bounds nor count references.
final class RowQuery {
  private let scanned: VectorRows
  private let decisive: VectorRows
  private let memory: Buffer<UInt8>
  private let values: Buffer<Float>
  private let codes: Buffer<Int8>
  let scores: RowScores
  private let factor: Float

  init(_ table: VectorTable) throws(CoverTreeError) {
    (scanned, decisive) = (table.scanned, table.decisive)
    let coordinates = max(scanned.coordinates, decisive.coordinates)
    values = try Buffer(count: coordinates, filledWith: 0)
    codes = try Buffer(count: coordinates, filledWith: 0)
    factor = table.options.metric.comparesProducts ? -1 : -2
    memory = try Buffer(count: 512)
    let rows = UnsafeMutableRawPointer(memory.base).bindMemory(to: cn_rows.self, capacity: 2)
    rows[0] = scanned.view
    rows[1] = decisive.view
    let query = UnsafeMutableRawPointer(memory.base + 384).bindMemory(to: cn_query.self, capacity: 1)
    query.pointee = cn_query(values: values.base, codes: codes.base, factor: 0, offset: 0)
    scores = RowScores(
      rows: UnsafePointer(rows), decisive: UnsafePointer(rows + 1), query: query, values: UnsafePointer(values.base),
      hasByteProducts: cn_has_byte_products())
  }

  func load(_ row: UnsafePointer<Float>) {
    values.base.update(from: row, count: scanned.dim)
    scores.query.pointee.values = UnsafePointer(values.base)
    guard scanned.storage == .int8 else { return }
    let code = scanned.round(row, into: codes.base)
    scores.query.pointee.factor = factor * code.scale
    scores.query.pointee.offset = 128 &* code.sum
  }

  /// Makes a row of the table the query, in the form in which candidates are found.
  @inline(__always)
  func load(slot: Int) {
    let query = scores.query
    switch scanned.storage {
    case .float32, .float16: query.pointee.values = scanned.floats(slot, or: values.base)
    case .int8:
      query.pointee.offset = 128 &* cn_signed_codes(scores.rows, Int64(slot), codes.base)
      query.pointee.factor = factor * scores.rows.pointee.scales[slot]
    }
  }
}

/// The rows of a table and a query, in the kernels' form; valid while the `RowQuery` lives and the table is not changed.
struct RowScores {
  let rows: UnsafePointer<cn_rows>
  fileprivate let decisive: UnsafePointer<cn_rows>
  let query: UnsafeMutablePointer<cn_query>
  fileprivate let values: UnsafePointer<Float>
  fileprivate let hasByteProducts: Int32

  /// Approximate scores of rows, to find candidates.
  @inline(__always)
  func score(_ slots: UnsafePointer<Int32>, _ count: Int, into scores: UnsafeMutablePointer<Float>) {
    cn_scores(rows, query, slots, Int64(count), hasByteProducts, scores)
  }

  /// The number that approximate scores omit: the same for all rows.
  @inline(__always)
  func omitted(slot: Int) -> Float { rows.pointee.kind == 2 ? rows.pointee.lengths[slot] : 0 }

  @inline(__always)
  func decided(_ slot: Int32) -> Double { cn_decided_score(decisive, values, Int64(slot)) }

  @inline(__always)
  func prefetch(_ slot: Int32) { cn_prefetch_row(rows, Int64(slot)) }
  @inline(__always)
  func prefetchDecisive(_ slot: Int32) { cn_prefetch_row(decisive, Int64(slot)) }
}
