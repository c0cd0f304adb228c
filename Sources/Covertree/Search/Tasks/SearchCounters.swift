import Synchronization

/// Counts the work of a tree's searches.
final class SearchCounters: Sendable {
  let queries = Atomic<Int>(0)
  let points = Atomic<Int>(0)
  let boxes = Atomic<Int>(0)

  func add(queries: Int, points: Int, boxes: Int) {
    self.queries.wrappingAdd(queries, ordering: .relaxed)
    self.points.wrappingAdd(points, ordering: .relaxed)
    self.boxes.wrappingAdd(boxes, ordering: .relaxed)
  }
}
