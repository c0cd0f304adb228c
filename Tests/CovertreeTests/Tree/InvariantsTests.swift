import Testing

@testable import Covertree
@testable import CovertreeBase

/// `validate` finds errors: each test breaks one rule of a good tree.
@Suite struct InvariantsTests {
  private static let points = PointSet<Float>(count: 600, dim: 3, seed: 6, duplicated: true)

  /// The arrays that a test may break.
  struct Arrays {
    let layout: TreeLayout<Float>
    let boxes: KDTree<Float>
    let tombstones: Tombstones
  }

  private func message(
    in points: PointSet<Float> = points, breaking damage: (Arrays) -> Void
  ) throws -> String {
    let tree = try points.tree()
    try tree.validate(context: CallContext())
    let snapshot = try #require(tree.float32).snapshot
    let segment = snapshot.points.views[0].segment
    damage(
      Arrays(
        layout: try #require(snapshot.knownCover).layout, boxes: segment.boxes,
        tombstones: try segment.makeTombstones()))
    return failure { try tree.validate(context: CallContext(threads: 2)) }?.message ?? ""
  }

  /// A node in the middle of the tree that is not a duplicate and has children.
  private func inner(_ layout: TreeLayout<Float>) -> Int {
    (100..<layout.count).first { layout.levels[$0] > TreeNodes.duplicate && layout.subtreeEnd[$0] > $0 + 3 }!
  }

  @Test func covering() throws {
    let text = try message { snapshot in
      let layout = snapshot.layout
      let node = inner(layout)
      for t in node..<Int(layout.subtreeEnd[node]) where layout.levels[t] > TreeNodes.duplicate {
        layout.levels[t] -= 30
      }
    }
    #expect(text.hasPrefix("covering: broken by point"))
  }

  @Test func separation() throws {
    let text = try message { snapshot in
      // Every level one up: covering still holds, points of one level are too close.
      for t in 0..<snapshot.layout.count where snapshot.layout.levels[t] > TreeNodes.duplicate {
        snapshot.layout.levels[t] += 1
      }
    }
    #expect(text.hasPrefix("separation: broken by point"))
  }

  @Test func levels() throws {
    let text = try message { snapshot in
      let node = inner(snapshot.layout)
      snapshot.layout.levels[node] = snapshot.layout.levels[snapshot.layout.parents[node]]
    }
    #expect(text.hasPrefix("level below the parent's"))
  }

  @Test func duplicates() throws {
    let text = try message(in: PointSet(count: 200, dim: 3, seed: 6)) { snapshot in
      let leaf = (1..<200).first { snapshot.layout.subtreeEnd[$0] == $0 + 1 }!
      snapshot.layout.levels[leaf] = TreeNodes.duplicate
    }
    #expect(text.hasPrefix("duplicate: broken by point"))
  }

  @Test func roots() throws {
    let text = try message { $0.layout.parents[0] = 3 }
    #expect(text.hasPrefix("root"))
  }

  @Test func parents() throws {
    let text = try message { $0.layout.parents[500] = 0 }
    #expect(text.hasPrefix("children"))
  }

  @Test func radii() throws {
    let text = try message { $0.layout.radius[0] = $0.layout.radius[0].nextDown }
    #expect(text.hasPrefix("radius"))
  }

  @Test func order() throws {
    let text = try message { $0.layout.order[7] = $0.layout.order[8] }
    #expect(text.hasPrefix("order"))
  }

  @Test func subtrees() throws {
    let text = try message { $0.layout.subtreeMin[0] = 5 }
    #expect(text.hasPrefix("subtree_min"))
  }

  @Test func boxes() throws {
    let text = try message { $0.boxes.boxes[0] = SIMD16(repeating: 0.25) }
    #expect(text.hasPrefix("box"))
  }

  @Test func leaves() throws {
    let text = try message { $0.boxes.coordinates[3][2] += 1 }
    #expect(text.hasPrefix("coordinates in a leaf"))
  }
}
