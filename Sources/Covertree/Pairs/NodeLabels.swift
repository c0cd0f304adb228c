import CovertreeBase

/// By lane of a tree's nodes: the component of all points below it, and the least core distance among them.
final class NodeLabels<S: Scalar>: @unchecked Sendable {
  /// `mixed` for points of several components, `noComponent` without points that are in one.
  let components: Buffer<Int32>
  /// Scores in the filter's type, never above the exact ones; nil without mutual reachability.
  let cores: Buffer<S.Lanes>?
  private let tree: KDTree<S>

  static var mixed: Int32 { -1 }

  init(_ forest: SpanningForest<S>) throws(CoverTreeError) {
    tree = forest.tree
    components = try Buffer(count: tree.children.count)
    guard let exact = forest.nearest.cores else {
      cores = nil
      return
    }
    let lanes = try Buffer<S.Lanes>(count: tree.children.count / S.width)
    cores = lanes
    let cores = lanes.base.scalars
    // Children come after their parents.
    for slot in stride(from: tree.children.count - 1, through: 0, by: -1) {
      let child = tree.children[slot]
      if tree.smallestIndex[slot] == KDTree<S>.noIndex {
        cores[slot] = .infinity
      } else if child >= 0 {
        cores[slot] = (0..<S.width).reduce(S.infinity) { min($0, cores[Int(child) * S.width + $1]) }
      } else {
        cores[slot] = -S.roundedUp(-tree.positions(ofLeaf: Int(~child)).reduce(Double.infinity) { min($0, exact[$1]) })
      }
    }
  }

  /// Labels the nodes.
  func update(_ forest: SpanningForest<S>, _ context: CallContext) throws(CoverTreeError) {
    let width = S.width
    let nodes = tree.children.count / width
    let leafNodes = (tree.leafCount + width - 1) / width
    try context.forEach(leafNodes, grain: 16) { (range, _) throws(CoverTreeError) in
      for number in range {
        for lane in 0..<width {
          let leaf = number * width + lane
          components[(nodes - leafNodes) * width + leaf] =
            leaf < tree.leafCount
            ? common(forest.components.base, tree.positions(ofLeaf: leaf)) : SpanningForest<S>.noComponent
        }
      }
    }
    for slot in stride(from: (nodes - leafNodes) * width - 1, through: 0, by: -1) {
      // Lanes without points have no node.
      let child = tree.smallestIndex[slot] == KDTree<S>.noIndex ? nil : Int(tree.children[slot])
      components[slot] =
        child.map { common(components.base, $0 * width..<($0 + 1) * width) } ?? SpanningForest<S>.noComponent
    }
  }

  private func common(_ components: UnsafePointer<Int32>, _ range: Range<Int>) -> Int32 {
    var found = SpanningForest<S>.noComponent
    for slot in range where components[slot] != found && components[slot] != SpanningForest<S>.noComponent {
      guard found == SpanningForest<S>.noComponent else { return Self.mixed }
      found = components[slot]
    }
    return found
  }
}
