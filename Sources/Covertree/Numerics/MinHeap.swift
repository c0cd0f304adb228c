import CovertreeBase

/// A binary heap: the least element is on top. O(log count) for each.
final class MinHeap<Element: BitwiseCopyable & Comparable> {
  private let elements: GrowableBuffer<Element>

  init() throws(CoverTreeError) { elements = try GrowableBuffer() }

  func removeAll() { elements.removeAll() }

  func push(_ element: Element) throws(CoverTreeError) {
    try elements.append(element)
    var position = elements.count &- 1
    while position > 0, element < elements[(position &- 1) >> 1] {
      elements[position] = elements[(position &- 1) >> 1]
      position = (position &- 1) >> 1
    }
    elements[position] = element
  }

  func pop() -> Element? {
    guard let moved = elements.popLast() else { return nil }
    let count = elements.count
    guard count > 0 else { return moved }
    let first = elements[0]
    var position = 0
    while true {
      var child = 2 &* position &+ 1
      guard child < count else { break }
      if child &+ 1 < count, elements[child &+ 1] < elements[child] { child &+= 1 }
      guard elements[child] < moved else { break }
      elements[position] = elements[child]
      position = child
    }
    elements[position] = moved
    return first
  }
}
