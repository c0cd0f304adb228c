import CovertreeBase
import Glibc
import Synchronization

/// The current snapshot of a tree, which searches use and changes replace. Searches never wait. If two changes run at once, the second
/// fails with `.busy`.
final class CurrentState<Snapshot: AnyObject & Sendable>: @unchecked Sendable {
  /// Guarded by `processLock`.
  private var snapshot: Snapshot
  private var seconds: Double
  /// The process in which a change runs, or 0. A forked child ignores a change of its parent, whose thread it does not have.
  private let changing = Atomic<pid_t>(0)

  init(_ snapshot: Snapshot, seconds: Double) { (self.snapshot, self.seconds) = (snapshot, seconds) }

  var current: Snapshot { processLock.locked { snapshot } }
  /// Seconds of the last change.
  var changeSeconds: Double { processLock.locked { seconds } }

  func change(_ body: (Snapshot) throws(CoverTreeError) -> Snapshot) throws(CoverTreeError) {
    let me = getpid()
    let (isFirst, holder) = changing.compareExchange(expected: 0, desired: me, ordering: .acquiring)
    if !isFirst {
      guard holder != me, changing.compareExchange(expected: holder, desired: me, ordering: .acquiring).exchanged else {
        throw CoverTreeError(.busy, "tree: another thread is changing it")
      }
    }
    defer { changing.store(0, ordering: .releasing) }
    let start = monotonicSeconds()
    let next = try body(current)
    let taken = monotonicSeconds() - start
    let replaced = processLock.locked {
      let replaced = snapshot
      (snapshot, seconds) = (next, taken)
      return replaced
    }
    withExtendedLifetime(replaced) {}
  }
}
