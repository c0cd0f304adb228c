import Glibc
import Synchronization

/// Lets the parts of a loop through one after the other, in their order, while all else of them runs side by side.
///
/// For `CallContext.forEach` with a grain of one part: it begins parts in order, so that those that one waits for are under way.
package final class OrderedSection: Sendable {
  private let next = Atomic<Int>(0)

  /// So often it is looked whether it is the part's turn, before another thread is let run.
  private static var patience: Int { 200 }

  package init() {}

  /// Every part that is begun has to come through.
  package func pass(_ part: Int, _ body: () throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    var looks = 0
    while next.load(ordering: .acquiring) != part {
      looks += 1
      if looks > Self.patience { sched_yield() }
    }
    defer { next.store(part + 1, ordering: .releasing) }
    try body()
  }
}
