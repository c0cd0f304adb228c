extension QuerySet {
  /// The queries of a call, in the order in which they are run.
  init(_ queries: Queries<S>, in snapshot: TreeSnapshot<S>, context: CallContext) throws(CoverTreeError) {
    switch queries {
    case .points(let view): try self.init(new: view, for: snapshot.points, context: context)
    case .stored(let list):
      let count = list.elements.count
      let indices = try Buffer<Int32>(count: count)
      let keys = try Buffer<UInt64>(count: count)
      for (row, index) in list.elements.enumerated() {
        guard index >= 0, index < snapshot.indexCount, snapshot.positions[Int(index)] >= 0 else {
          throw CoverTreeError(.notFound, "queries[\(row)]: the tree has no point \(index)")
        }
        indices[row] = Int32(index)
        keys[row] = UInt64(snapshot.positions[Int(index)])
      }
      let sequence = count <= Self.unsorted ? nil : try sortedOrder(ofKeys: keys, context: context)
      self.init(count: count, points: snapshot.points, indices: indices, sequence: sequence)
    case .allStored:
      let count = snapshot.liveCount
      let indices = snapshot.sparseIndices
      let rowOf = try Buffer<Int32>(count: snapshot.indexCount)
      for row in 0..<count { rowOf[indices?[row] ?? Int32(row)] = Int32(row) }
      let sequence = try Buffer<Int32>(count: count)
      var next = 0
      for label in snapshot.points.labels.elements where label != BoxTree<S>.noLabel {
        sequence[next] = rowOf[label]
        next += 1
      }
      self.init(count: count, points: snapshot.points, indices: indices, sequence: sequence)
    }
  }
}
