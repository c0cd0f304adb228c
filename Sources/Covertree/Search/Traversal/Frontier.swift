import CovertreeBase

/// Nodes right above leaves, in groups that a search handles like the children of a node.
final class Frontier<S: Scalar> {
  /// With more nodes the way from the root is as short.
  static var capacity: Int { 2 * S.width }

  private(set) var boxes: UnsafeMutablePointer<S.Lanes>!
  private(set) var children: UnsafeMutablePointer<Int32>!
  private(set) var smallestIndex: UnsafeMutablePointer<Int32>!
  private var arena: Arena?
  private var count = 0
  private let dim: Int

  var groupCount: Int { (count &+ S.width &- 1) / S.width }

  init(dim: Int) { self.dim = dim }

  /// Empties it. The first call allocates memory, which a single query does not need.
  func removeAll() throws(CoverTreeError) {
    count = 0
    guard arena == nil else { return }
    let vectors = Self.capacity / S.width * dim * 2
    let arena = try Arena(
      Arena.size(vectors, of: S.Lanes.self), Arena.size(Self.capacity, of: Int32.self),
      Arena.size(Self.capacity, of: Int32.self))
    (boxes, children, smallestIndex) = (
      arena.allocate(vectors), arena.allocate(Self.capacity), arena.allocate(Self.capacity)
    )
    self.arena = arena
  }

  /// Appends the child of a node, or returns false if full.
  func append(_ tree: KDTree<S>, node: Int, lane: Int) -> Bool {
    guard count < Self.capacity else { return false }
    let source = (tree.boxes.base + node &* dim &* 2).scalars + lane
    for side in 0..<2 &* dim { sides[side &* S.width] = source[side &* S.width] }
    children[count] = tree.children[node &* S.width &+ lane]
    smallestIndex[count] = tree.smallestIndex[node &* S.width &+ lane]
    count &+= 1
    return true
  }

  /// Makes the lanes after the last node empty boxes.
  func close() {
    let end = groupCount &* S.width
    let inUse = count
    while count < end {
      for side in 0..<2 &* dim { sides[side &* S.width] = side % 2 == 0 ? .infinity : -.infinity }
      smallestIndex[count] = KDTree<S>.noIndex
      count &+= 1
    }
    count = inUse
  }

  /// The sides of the next node's box, one every `width` scalars.
  private var sides: UnsafeMutablePointer<S> {
    (boxes + count / S.width &* dim &* 2).scalars + count % S.width
  }
}
