import Glibc

/// Admits many readers at once, or one writer. Waiting writers come before new readers.
///
/// A waiting thread checks again every few milliseconds, so that the caller can end the call. In a forked child the threads inside stay
/// with the parent: readers are forgotten. A writer's change is incomplete, so nothing is admitted any more.
@usableFromInline
package final class ReadWriteLock: @unchecked Sendable {
  private let lock = processLock
  // The lock guards all fields below.
  private var forks = processLock.forks
  /// Threads that are inside. A call of theirs from a progress callback cannot wait for them.
  private var readers: [pthread_t] = []
  private var writer: pthread_t?
  private var waitingWriters = 0
  private var isBroken = false

  /// The name of the locked object in messages.
  private let noun: String

  private static var pause: UInt32 { 200 }

  package init(of noun: String) { self.noun = noun }

  @inlinable
  package func reading<Result>(
    _ context: CallContext, _ body: () throws(CoverTreeError) -> Result
  ) throws(CoverTreeError) -> Result {
    try enter(context, forWriting: false)
    defer { leaveReading() }
    return try body()
  }

  @inlinable
  package func writing<Result>(
    _ context: CallContext, _ body: () throws(CoverTreeError) -> Result
  ) throws(CoverTreeError) -> Result {
    try enter(context, forWriting: true)
    defer { leaveWriting() }
    return try body()
  }

  /// Enters if that is possible at once, as it nearly always is.
  private func tryEnter(forWriting: Bool) -> Bool {
    adopt()
    let me = pthread_self()
    guard writer == nil, !isBroken else { return false }
    if forWriting {
      guard readers.isEmpty else { return false }
      writer = me
    } else {
      guard waitingWriters == 0 || readers.contains(me) else { return false }
      readers.append(me)
    }
    return true
  }

  @usableFromInline
  func enter(_ context: CallContext, forWriting: Bool) throws(CoverTreeError) {
    if lock.locked({ tryEnter(forWriting: forWriting) }) { return }
    try wait(context, forWriting: forWriting)
  }

  private enum Outcome { case entered, wait, inside, broken }

  private func wait(_ context: CallContext, forWriting: Bool) throws(CoverTreeError) {
    // A writer that must wait registers once.
    var waits = false
    func attempt() -> Outcome {
      if tryEnter(forWriting: forWriting) { return .entered }
      if isBroken { return .broken }
      let me = pthread_self()
      if writer == me || (forWriting && readers.contains(me)) { return .inside }
      if forWriting, !waits { (waits, waitingWriters) = (true, waitingWriters + 1) }
      return .wait
    }
    defer { if waits { leave { waitingWriters -= 1 } } }
    while true {
      switch lock.locked(attempt) {
      case .entered: return
      case .wait: break
      case .inside:
        throw CoverTreeError(.busy, "\(noun): a callback cannot wait for the call that it was called from")
      case .broken:
        throw CoverTreeError(.busy, "\(noun): a thread that stayed behind when this process was forked was changing it")
      }
      try context.poll()
      usleep(Self.pause)
    }
  }

  @usableFromInline
  func leaveReading() { leave { readers.remove(at: readers.lastIndex(of: pthread_self())!) } }

  @usableFromInline
  func leaveWriting() { leave { writer = nil } }

  private func leave(_ change: () -> Void) { lock.locked { if forks == lock.forks { change() } } }

  private func adopt() {
    guard forks != lock.forks else { return }
    forks = lock.forks
    isBroken = isBroken || writer != nil
    (readers, writer, waitingWriters) = ([], nil, 0)
  }
}
