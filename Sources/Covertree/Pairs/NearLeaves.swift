import CovertreeBase

/// One thread's search for the leaves of a tree that are near a leaf of the same tree or of another one.
///
/// Rounding is monotone, so boxes are not farther in the filter than their points, except by the errors of the metric's sums, which
/// `reach` includes.
struct NearLeaves<S: Scalar, D: MetricSpace> {
  let tree: KDTree<S>
  let dimension: D
  /// The metric of the filter for the box and reach of the last search.
  private(set) var space: D
  /// The leaves that the last search has found.
  let found: GrowableBuffer<Int32>
  /// The sides of the box, each in all lanes.
  private let low: UnsafeMutablePointer<S.Lanes>
  private let high: UnsafeMutablePointer<S.Lanes>
  private let stack: UnsafeMutablePointer<Int32>
  private let arena: Arena

  init(_ tree: KDTree<S>, _ dimension: D) throws(CoverTreeError) {
    (self.tree, self.dimension, space) = (tree, dimension, dimension)
    let entries = (tree.depth + 1) * S.width
    arena = try Arena(
      Arena.size(dimension.count, of: S.Lanes.self), Arena.size(dimension.count, of: S.Lanes.self),
      Arena.size(entries, of: Int32.self))
    low = arena.allocate(dimension.count)
    high = arena.allocate(dimension.count)
    stack = arena.allocate(entries)
    found = try GrowableBuffer()
  }

  /// Finds the leaves within `reach`, a sum of the filter, of a leaf of `other`.
  mutating func search(from leaf: Int, of other: KDTree<S>, reach: S) throws(CoverTreeError) {
    found.removeAll()
    other.copyBox(ofLeaf: leaf, into: low, high)
    space = dimension.straight(low, high, within: reach)
    stack[0] = 0
    var top = 1
    while top > 0 {
      top &-= 1
      let node = Int(stack[top])
      let bound = space.sums(
        S.self, low, high, toBoxes: UnsafePointer(tree.boxes.base) + node &* dimension.count &* 2)
      // Lanes without a child are infinitely far, which is not beyond an infinite reach.
      let isThere = S.maskAdmitted(tree.smallestIndex.base + node &* S.width, below: KDTree<S>.noIndex, except: -1)
      for lane in SetBits(S.maskLessOrEqual(bound, S.Lanes(repeating: reach)) & isThere) {
        let child = tree.children[node &* S.width &+ lane]
        if child >= 0 {
          stack[top] = child
          top &+= 1
        } else {
          try found.append(~child)
        }
      }
    }
  }
}
