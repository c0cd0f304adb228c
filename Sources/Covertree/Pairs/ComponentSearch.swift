import CNumerics
import CovertreeBase

/// One thread's search for the least edges from the points of a leaf to other components.
///
/// The points share one walk. It passes over boxes whose points are all in the component of the leaf, and over boxes beyond the best known
/// edges of the leaf's components. Boxes and points are compared in the filter's type, edges by their scores.
final class ComponentSearch<S: Scalar, D: MetricSpace> {
  private let forest: SpanningForest<S>
  private let labels: NodeLabels<S>
  private let tree: KDTree<S>
  private let dimension: D
  /// The metric of the filter, for the open points.
  private var space: D
  private let rounding: RoundingBound<S>
  private let arena: Arena
  /// The points of the leaf that may have a better edge than their component.
  private let open: UnsafeMutablePointer<Int32>
  private var openCount = 0
  /// Their coordinates, one after the other.
  private let rows: UnsafeMutablePointer<S>
  /// The sides of the box around them, each in all lanes.
  private let low: UnsafeMutablePointer<S.Lanes>
  private let high: UnsafeMutablePointer<S.Lanes>
  private let leafSums: LeafSums<S, D>
  private let query: UnsafeMutablePointer<S.Lanes>
  private let stackBounds: UnsafeMutablePointer<S>
  private let stackSlots: UnsafeMutablePointer<Int32>
  /// The numbers of the lanes.
  private let lanes: S.Positions

  init(_ forest: SpanningForest<S>, _ labels: NodeLabels<S>, _ dimension: D) throws(CoverTreeError) {
    (self.forest, self.labels, tree) = (forest, labels, forest.tree)
    (self.dimension, space) = (dimension, dimension)
    rounding = RoundingBound(dimension)
    leafSums = try LeafSums(leafSize: tree.leafSize, dimension)
    let (size, dim, entries) = (tree.leafSize, dimension.count, (tree.depth + 1) * S.width)
    arena = try Arena(
      Arena.size(size, of: Int32.self), Arena.size(size * dim, of: S.self), Arena.size(dim, of: S.Lanes.self),
      Arena.size(dim, of: S.Lanes.self), Arena.size(dim, of: S.Lanes.self), Arena.size(entries, of: S.self),
      Arena.size(entries, of: Int32.self))
    open = arena.allocate(size)
    rows = arena.allocate(size * dim)
    low = arena.allocate(dim)
    high = arena.allocate(dim)
    query = arena.allocate(dim)
    stackBounds = arena.allocate(entries)
    stackSlots = arena.allocate(entries)
    var lanes = S.Positions()
    for lane in 0..<S.width { lanes[lane] = Int32(lane) }
    self.lanes = lanes
  }

  @inline(__always)
  private func bound(_ position: Int32) -> Double {
    cn_relaxed_load_f64(forest.bounds.base + Int(forest.components[position]))
  }

  /// Whether a point may have an edge within a score.
  @inline(__always)
  private func mayReach(_ position: Int32, _ score: Double) -> Bool {
    guard let cores = forest.nearest.cores else { return true }
    return cores[position] <= score
  }

  /// Improves the edges of the points of a leaf.
  func run(_ leaf: Int, _ context: CallContext, slot: Int) throws(CoverTreeError) {
    let label = gather(leaf)
    guard openCount > 0 else { return }
    var reach = farthestReach()
    space = dimension.straight(low, high, within: reach)
    var top = 0
    visit(node: 0, label, reach, &top)
    var steps = 0
    while top > 0 {
      top &-= 1
      guard stackBounds[top] <= reach else { continue }
      let number = Int(stackSlots[top])
      let child = tree.children[number]
      if child >= 0 {
        visit(node: Int(child), label, reach, &top)
      } else if compare(with: Int(~child), labels.components[number]) {
        reach = farthestReach()
      }
      steps &+= 1
      if steps & 0x3FF == 0 { try context.poll(inSlot: slot) }
    }
  }

  /// Collects the open points of a leaf. Returns their component, or `mixed`.
  private func gather(_ leaf: Int) -> Int32 {
    openCount = 0
    var label = SpanningForest<S>.noComponent
    for position in tree.positions(ofLeaf: leaf) where forest.components[position] != SpanningForest<S>.noComponent {
      let best = bound(Int32(position))
      guard forest.unknown[position] <= best, mayReach(Int32(position), best) else { continue }
      let component = forest.components[position]
      label = openCount == 0 || label == component ? component : NodeLabels<S>.mixed
      let point = tree.coordinates(at: position)
      let row = rows + openCount &* dimension.count
      for d in 0..<dimension.count {
        let x = point[d &* S.width]
        row[d] = x
        low[d] = openCount == 0 ? S.Lanes(repeating: x) : S.minimum(low[d], S.Lanes(repeating: x))
        high[d] = openCount == 0 ? S.Lanes(repeating: x) : S.maximum(high[d], S.Lanes(repeating: x))
      }
      open[openCount] = Int32(position)
      openCount &+= 1
    }
    return label
  }

  /// The sum, in the filter, up to which an edge may be the least one of its component.
  private func farthestReach() -> S {
    var farthest = -Double.infinity
    for number in 0..<openCount { farthest = max(farthest, bound(open[number])) }
    return rounding.upperBound(of: farthest)
  }

  /// Pushes the children of a node that may have such an edge, the nearest last.
  @inline(__always)
  private func visit(node: Int, _ label: Int32, _ reach: S, _ top: inout Int) {
    let first = node &* S.width
    var bound = space.sums(
      S.self, low, high, toBoxes: UnsafePointer(tree.boxes.base) + node &* dimension.count &* 2)
    if let cores = labels.cores { bound = S.maximum(bound, cores[node]) }
    var hits = S.maskLessOrEqual(bound, S.Lanes(repeating: reach))
    hits &= S.maskAdmitted(
      labels.components.base + first, below: SpanningForest<S>.noComponent,
      except: label == NodeLabels<S>.mixed ? Int32.min : label)
    guard hits != 0 else { return }
    S.store(bound, hits, packedTo: stackBounds + top)
    S.store(lanes &+ S.Positions(repeating: Int32(truncatingIfNeeded: first)), hits, packedTo: stackSlots + top)
    let last = top &+ hits.nonzeroBitCount &- 1
    var nearest = last
    for entry in top..<last where stackBounds[entry] < stackBounds[nearest] { nearest = entry }
    (stackBounds[nearest], stackBounds[last]) = (stackBounds[last], stackBounds[nearest])
    (stackSlots[nearest], stackSlots[last]) = (stackSlots[last], stackSlots[nearest])
    top = last &+ 1
  }

  /// Compares the open points with a leaf. Returns whether a component has a better edge.
  @inline(__always)
  private func compare(with leaf: Int, _ label: Int32) -> Bool {
    var isBetter = false
    for number in 0..<openCount {
      let position = open[number]
      let best = bound(position)
      guard forest.components[position] != label, mayReach(position, best) else { continue }
      let row = rows + number &* dimension.count
      for d in 0..<dimension.summed { query[d] = S.Lanes(repeating: row[d]) }
      if compare(position, row, with: leaf, best) { isBetter = true }
    }
    return isBetter
  }

  @inline(__always)
  private func compare(_ position: Int32, _ row: UnsafePointer<S>, with leaf: Int, _ known: Double) -> Bool {
    let component = forest.components[position]
    var best = known
    var possible = S.Lanes(repeating: rounding.upperBound(of: best))
    let first = leaf &* tree.leafSize
    var group = UnsafePointer(tree.coordinates.base) + first / S.width &* dimension.count
    leafSums.begin(query, group, leafSize: tree.leafSize, in: space)
    for start in stride(from: first, to: first &+ tree.leafSize, by: S.width) {
      let sum = leafSums.sums(query, toGroup: group, number: (start &- first) / S.width)
      var hits = S.maskLessOrEqual(sum, possible)
      if hits != 0 {
        hits &= S.maskAdmitted(
          forest.components.base + start, below: SpanningForest<S>.noComponent, except: component)
        for lane in SetBits(hits) {
          let score = improve(position, row, Int32(truncatingIfNeeded: start &+ lane), best)
          if score < best {
            best = score
            possible = S.Lanes(repeating: rounding.upperBound(of: best))
          }
        }
      }
      group += dimension.count
    }
    return best < known
  }

  /// Takes an edge, if it is the best one of a point and within a score. Returns its score, or infinity.
  @inline(__always)
  private func improve(_ position: Int32, _ row: UnsafePointer<S>, _ target: Int32, _ best: Double) -> Double {
    let score = forest.score(
      dimension.score(row, tree.coordinates(at: Int(target)), stride: S.width), Int(position), Int(target))
    let known = forest.scores[position]
    guard score <= best, score <= known else { return .infinity }
    if score == known && tree.indices[target] >= tree.indices[forest.targets[position]] { return .infinity }
    forest.scores[position] = score
    forest.targets[position] = target
    cn_relaxed_lower_f64(forest.bounds.base + Int(forest.components[position]), score)
    return score
  }
}
