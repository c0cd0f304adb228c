import CNumerics
import CovertreeBase

/// The rows of a table, in any storage, for comparison in batches. Positions and indices are slots.
final class RowPoints: BruteForcePoints, @unchecked Sendable {
  let count: Int
  let dim: Int
  let indices: Buffer<Int32>
  let products: Bool
  let longest: Double
  let coordinates: Int
  private let decisive: VectorRows
  private let memory: Buffer<UInt8>
  private let rows: UnsafePointer<cn_rows>

  init(_ table: VectorTable, _ admitted: Buffer<UInt8>?, longest: Double) throws(CoverTreeError) {
    (count, dim, products) = (table.count, table.dim, table.options.metric.comparesProducts)
    (decisive, self.longest) = (table.decisive, longest)
    coordinates = decisive.coordinates
    indices = try Buffer(count: count)
    for slot in 0..<count { indices[slot] = admitted?[slot] == 0 ? KDTree<Float>.noIndex : Int32(slot) }
    memory = try Buffer(count: MemoryLayout<cn_rows>.stride)
    let view = UnsafeMutableRawPointer(memory.base).bindMemory(to: cn_rows.self, capacity: 1)
    view.pointee = decisive.view
    rows = UnsafePointer(view)
  }

  /// The length of the longest vector, if products are compared.
  static func longest(_ table: VectorTable, _ context: CallContext) throws(CoverTreeError) -> Double {
    guard table.options.metric.comparesProducts else { return 0 }
    let points = try RowPoints(table, nil, longest: 0)
    let lengths = try Buffer<Double>(count: context.threads, filledWith: 0)
    let scratch = try Buffer<Float>(count: context.threads * points.coordinates)
    try context.forEach(table.count, grain: 1024) { (range, thread) throws(CoverTreeError) in
      let row = scratch.base + thread * points.coordinates
      for slot in range {
        points.copy(slot, into: row)
        lengths[thread] = max(lengths[thread], lengthOf(row, table.dim))
      }
    }
    return lengths.elements.max()!
  }

  func copy(_ position: Int, into target: UnsafeMutablePointer<Float>) {
    for d in stride(from: 0, to: dim, by: 16) {
      let lanes = cn_row_lanes(rows, rows.pointee.kind, Int64(position), Int64(d))
      for lane in 0..<min(16, dim - d) { target[d + lane] = lanes[lane] }
    }
  }

  func lanes(ofGroup group: Int, _ scratch: UnsafeMutablePointer<SIMD16<Float>>) -> UnsafePointer<SIMD16<Float>> {
    let columns = UnsafeMutableRawPointer(scratch).assumingMemoryBound(to: Float.self)
    cn_transpose_rows(rows, Int64(group * 16), Int64(count), Int64(dim), columns)
    return UnsafePointer(scratch)
  }

  @inline(__always)
  func prefetch(_ slot: Int32) { cn_prefetch_row(rows, Int64(slot)) }

  func quick(_ query: UnsafePointer<Float>, _ slot: Int32) -> Float {
    cn_quick_score(rows, query, Int64(slot))
  }

  func decided(_ query: UnsafePointer<Float>, _ slots: SIMD4<Int32>) -> SIMD4<Double> {
    SIMD4(
      cn_decided_score(rows, query, Int64(slots[0])), cn_decided_score(rows, query, Int64(slots[1])),
      cn_decided_score(rows, query, Int64(slots[2])), cn_decided_score(rows, query, Int64(slots[3])))
  }
}

/// Queries padded with zeros, as the kernels read them.
final class PaddedQueries {
  let view: PointsView<Float>
  private let rows: Buffer<Float>

  init(_ queries: PointsView<Float>, _ coordinates: Int) throws(CoverTreeError) {
    rows = try Buffer(count: queries.count * coordinates, filledWith: 0)
    for row in 0..<queries.count {
      (rows.base + row * coordinates).update(from: queries.row(row), count: queries.dim)
    }
    view = PointsView(base: UnsafePointer(rows.base), count: queries.count, dim: queries.dim, stride: coordinates)
  }
}
