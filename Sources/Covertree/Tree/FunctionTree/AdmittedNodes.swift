import CovertreeBase

/// The nodes that a call with a mask may find, and how many of them each subtree has.
struct AdmittedNodes: @unchecked Sendable {
  private let layout: TreeLayout<Double>
  /// By tree index, and one more at the end: the number of admitted nodes before it.
  private let before: Buffer<Int32>

  /// - Parameter mask: by dataset index: 0 for objects that are not found.
  init(_ snapshot: FunctionSnapshot, _ mask: UnsafeBufferPointer<UInt8>) throws(CoverTreeError) {
    layout = snapshot.layout
    before = try Buffer(count: layout.count + 1)
    var count: Int32 = 0
    for t in 0..<layout.count {
      before[t] = count
      if mask[Int(layout.order[t])] != 0, snapshot.isLive(Int32(t)) { count += 1 }
    }
    before[layout.count] = count
  }

  @inline(__always)
  func contains(_ node: Int32) -> Bool { before[Int(node) + 1] != before[node] }

  @inline(__always)
  func count(below node: Int32) -> Int32 { before[layout.subtreeEnd[node]] - before[node] }
}
