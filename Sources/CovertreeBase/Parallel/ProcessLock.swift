import Glibc
import Synchronization

/// One lock for the process, held for moments only: while a pointer is looked up or swapped.
///
/// `fork` copies the lock in whatever state it is in, and the thread that holds it is gone in the child. So the lock is
/// taken before every fork and released on both sides after it, and the child never finds it taken.
public final class ProcessLock: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  private let forkCount = Atomic<Int>(0)

  /// How often this process and those before it have forked: another number says that this one is a child. Without a call of
  /// the system, as `getpid` is.
  package var forks: Int { forkCount.load(ordering: .relaxed) }

  fileprivate init() {
    pthread_mutex_init(mutex, nil)
    pthread_atfork(
      { pthread_mutex_lock(processLock.mutex) },
      { pthread_mutex_unlock(processLock.mutex) },
      {
        processLock.forkCount.wrappingAdd(1, ordering: .relaxed)
        pthread_mutex_unlock(processLock.mutex)
      })
  }

  @inlinable @inline(__always)
  public func locked<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    lock()
    defer { unlock() }
    return try body()
  }

  @usableFromInline
  func lock() { pthread_mutex_lock(mutex) }
  @usableFromInline
  func unlock() { pthread_mutex_unlock(mutex) }
}

public let processLock = ProcessLock()
