import Glibc

/// Our own threads. Dispatch goes serial after `fork` and Swift's tasks hang, so neither is used.
///
/// A job is a closure that several threads run at once, each with its own slot number; the calling thread has slot 0. Workers start on
/// first use and sleep on a condition variable. Several threads of the caller may run jobs at the same time: workers join any job that
/// has a free slot. A forked child has no workers, and gets a new pool.
final class ThreadPool: @unchecked Sendable {
  private final class Job {
    let body: (Int) -> Void
    let slots: Int
    var nextSlot = 1
    var running = 0

    init(slots: Int, body: @escaping (Int) -> Void) {
      self.slots = slots
      self.body = body
    }
  }

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let workToDo = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let workDone = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var jobs: [Job] = []
  private var workers = 0

  private init() {
    pthread_mutex_init(mutex, nil)
    var monotonic = pthread_condattr_t()
    pthread_condattr_init(&monotonic)
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC)
    pthread_cond_init(workToDo, &monotonic)
    pthread_cond_init(workDone, &monotonic)
  }

  /// The pool of this process. A forked child does not use its parent's pool.
  static var shared: ThreadPool {
    processLock.locked {
      let process = getpid()
      if let pool = sharedPool, sharedPoolProcess == process { return pool }
      // A thread that does not exist in the child may have locked the parent's pool. So the child never touches it again, not even to
      // free it.
      if let inherited = sharedPool { _ = Unmanaged.passRetained(inherited) }
      let pool = ThreadPool()
      sharedPool = pool
      sharedPoolProcess = process
      return pool
    }
  }

  /// Runs `body` in up to `slots` threads at once and returns when all have returned. `whileWaiting` is called in the calling thread
  /// every 50 ms while it waits.
  func run(slots: Int, body: (Int) -> Void, whileWaiting: () -> Void) {
    // The check of non-escaping closures contains the length of this file's path, which must be the same for all checkouts.
    #sourceLocation(file:"ThreadPool",line:57)
    withoutActuallyEscaping(body) { escapable in
      let job = Job(slots: slots, body: escapable)
      pthread_mutex_lock(mutex)
      startWorkers(upTo: slots - 1)
      jobs.append(job)
      pthread_cond_broadcast(workToDo)
      pthread_mutex_unlock(mutex)

      escapable(0)

      pthread_mutex_lock(mutex)
      jobs.removeAll { $0 === job }
      while job.running > 0 {
        var deadline = monotonicDeadline(nanoseconds: 50_000_000)
        let outcome = pthread_cond_timedwait(workDone, mutex, &deadline)
        if outcome == ETIMEDOUT && job.running > 0 {
          pthread_mutex_unlock(mutex)
          whileWaiting()
          pthread_mutex_lock(mutex)
        }
      }
      pthread_mutex_unlock(mutex)
    }
    #sourceLocation()
  }

  /// Called with the mutex locked. If a thread cannot be started, the callers' own threads do the work.
  private func startWorkers(upTo wanted: Int) {
    while workers < wanted {
      var attributes = pthread_attr_t()
      pthread_attr_init(&attributes)
      pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
      // Signals are for the caller's threads.
      var all = sigset_t()
      var before = sigset_t()
      sigfillset(&all)
      pthread_sigmask(SIG_SETMASK, &all, &before)
      var thread = pthread_t()
      let pool = Unmanaged.passRetained(self)
      let status = pthread_create(
        &thread, &attributes,
        { argument in
          Unmanaged<ThreadPool>.fromOpaque(argument!).takeUnretainedValue().work()
          return nil
        }, pool.toOpaque())
      pthread_sigmask(SIG_SETMASK, &before, nil)
      pthread_attr_destroy(&attributes)
      if status != 0 {
        pool.release()
        return
      }
      workers += 1
    }
  }

  private func work() {
    pthread_mutex_lock(mutex)
    while true {
      guard let job = jobs.first(where: { $0.nextSlot < $0.slots }) else {
        pthread_cond_wait(workToDo, mutex)
        continue
      }
      let slot = job.nextSlot
      job.nextSlot += 1
      job.running += 1
      pthread_mutex_unlock(mutex)
      job.body(slot)
      pthread_mutex_lock(mutex)
      job.running -= 1
      if job.running == 0 { pthread_cond_broadcast(workDone) }
    }
  }
}

// Guarded by processLock.
nonisolated(unsafe) private var sharedPool: ThreadPool?
nonisolated(unsafe) private var sharedPoolProcess: pid_t = 0

private func monotonicDeadline(nanoseconds: Int) -> timespec {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  let sum = time.tv_nsec + nanoseconds
  return timespec(tv_sec: time.tv_sec + sum / 1_000_000_000, tv_nsec: sum % 1_000_000_000)
}
