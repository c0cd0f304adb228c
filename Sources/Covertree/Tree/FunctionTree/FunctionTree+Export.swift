import CovertreeBase
import Glibc

extension FunctionTree {
  var info: TreeInfo {
    let snapshot = snapshot
    return TreeInfo(
      pointCount: snapshot.liveCount, segmentCount: 1, nodeCount: snapshot.layout.count,
      nextIndex: snapshot.indexCount, dim: type.columns, rootLevel: snapshot.layout.levels[0], options: options,
      memoryBytes: snapshot.byteCount, cover: snapshot.statistics, changeSeconds: state.changeSeconds,
      queries: searches.queries.load(ordering: .relaxed), pointsCompared: searches.points.load(ordering: .relaxed),
      boxesCompared: 0)
  }

  /// The arrays of the tree. Its points are float64: coordinates, or numbers of objects.
  func export(context: CallContext) throws(CoverTreeError) -> TreeArrays {
    let snapshot = snapshot
    let exported = try ExportedArrays(snapshot)
    let isCurrent: @Sendable () -> Bool = { [weak self] in self?.snapshot === snapshot }
    return TreeArrays(
      snapshot.layout, points: exported.points, dim: type.columns, owner: exported, removed: snapshot.removed,
      isCurrent: isCurrent)
  }

  /// The dataset indices of the objects that searches find. See `CoverTree.copyIndices`.
  func copyIndices(
    inLeafOrder: Bool, count: Int, into indices: UnsafeMutablePointer<Int64>
  ) throws(CoverTreeError) {
    let snapshot = snapshot
    guard snapshot.liveCount == count else {
      throw CoverTreeError(.busy, "n_rows: the tree has \(snapshot.liveCount) points, results are for \(count)")
    }
    var next = 0
    for number in 0..<(inLeafOrder ? snapshot.layout.count : snapshot.indexCount) {
      let index = inLeafOrder ? snapshot.layout.order[number] : Int32(number)
      guard snapshot.nodes[index] >= 0 else { continue }
      indices[next] = Int64(index)
      next += 1
    }
  }

  /// The rows of objects, by dataset index.
  func copyObjects(
    _ indices: UnsafeBufferPointer<Int64>, into rows: UnsafeMutableRawPointer
  ) throws(CoverTreeError) {
    let snapshot = snapshot
    for (row, index) in indices.enumerated() {
      let node = try snapshot.node(index, named: "rows", row: row)
      memcpy(rows + row * type.rowBytes, snapshot.objects.row(node), type.rowBytes)
    }
  }
}

/// The objects of a snapshot in float64, and what keeps the other arrays.
private final class ExportedArrays: @unchecked Sendable {
  let snapshot: FunctionSnapshot
  let points: Buffer<Double>

  init(_ snapshot: FunctionSnapshot) throws(CoverTreeError) {
    self.snapshot = snapshot
    let bytes = snapshot.objects.bytes
    points = try Buffer(count: snapshot.objects.count * snapshot.objects.type.columns)
    switch snapshot.objects.type {
    case .float32:
      for (slot, number) in bytes.reinterpreted(as: Float.self).elements.enumerated() { points[slot] = Double(number) }
    case .float64: points.base.update(from: bytes.reinterpreted(as: Double.self).base, count: points.count)
    case .number:
      for (slot, number) in bytes.reinterpreted(as: Int64.self).elements.enumerated() { points[slot] = Double(number) }
    }
  }
}
