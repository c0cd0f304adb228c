import Glibc
import Synchronization

/// One lock for the process, held only for moments: while a pointer is read or swapped.
///
/// `fork` copies the lock in its current state, and the thread that holds it does not exist in the child. So the lock is acquired before
/// every fork and released on both sides after it, and the child never finds it locked.
public final class ProcessLock: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  private let forkCount = Atomic<Int>(0)

  /// The number of forks of this process and those before it: another number shows that this one is a child. Unlike `getpid`, it needs no
  /// system call.
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
