import Glibc
import Synchronization

/// A section of a loop's body that chunks pass in their order, while the rest of the body runs in parallel.
///
/// For `CallContext.forEach` with a grain of one chunk: it begins chunks in order, so a chunk waits for running chunks only.
package final class OrderedSection: Sendable {
  private let next = Atomic<Int>(0)

  /// Checks before a waiting thread yields.
  private static var patience: Int { 200 }

  package init() {}

  /// Every chunk that begins must pass.
  package func pass(_ chunk: Int, _ body: () throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    var looks = 0
    while next.load(ordering: .acquiring) != chunk {
      looks += 1
      if looks > Self.patience { sched_yield() }
    }
    defer { next.store(chunk + 1, ordering: .releasing) }
    try body()
  }
}
