import Glibc
import Synchronization

public func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

private let defaultThreads = Atomic<Int>(0)

/// The default number of threads: the caller's setting, or the processors of this process. Set 0 to count the processors again.
public var defaultThreadCount: Int {
  get {
    let known = defaultThreads.load(ordering: .relaxed)
    if known > 0 { return known }
    let counted = availableProcessors()
    defaultThreads.store(counted, ordering: .relaxed)
    return counted
  }
  set { defaultThreads.store(newValue, ordering: .relaxed) }
}

/// The state of one call of the library, down to its loops: number of threads, progress, cancellation.
///
/// `report` is called in the calling thread only, at least every 0.1 s while there is work, with the share of the work done. If it
/// returns false, the call ends with `.cancelled`.
public final class CallContext: @unchecked Sendable {
  public static let maximumThreads = 1024
  private static let reportInterval = 0.1

  public let threads: Int
  private let report: ((Double) -> Bool)?
  /// Workers poll, too, in operations that are stages of a call as well as steps of its loops.
  private let caller = pthread_self()
  @usableFromInline
  let stopped = Atomic<Bool>(false)
  private var nextReport: Double
  /// The share of the whole call that stages divide, and the share of the running loop.
  private var stretch = (from: 0.0, to: 1.0)
  private var progress = (from: 0.0, to: 1.0)
  /// The last reported share. Stages have nested loops, each of which begins at 0, but progress must not go back.
  private var reported = 0.0

  /// - Parameter threads: 0 for the default.
  public init(threads: Int = 0, report: ((Double) -> Bool)? = nil) {
    self.threads = min(threads > 0 ? threads : defaultThreadCount, CallContext.maximumThreads)
    self.report = report
    self.nextReport = report == nil ? .infinity : monotonicSeconds() + CallContext.reportInterval
  }

  /// For short calls in one thread, without progress.
  package static let brief = CallContext(threads: 1)

  /// The share of the call's progress for the next loops.
  package func stage(from: Double, to: Double) { progress = subrange(from, to) }

  /// Runs a body whose stages are inside this share of the call's progress.
  package func within<Result>(
    from: Double, to: Double, _ body: () throws(CoverTreeError) -> Result
  ) throws(CoverTreeError) -> Result {
    let whole = stretch
    defer { stretch = whole }
    stretch = subrange(from, to)
    progress = stretch
    return try body()
  }

  private func subrange(_ from: Double, _ to: Double) -> (from: Double, to: Double) {
    let length = stretch.to - stretch.from
    return (stretch.from + length * from, stretch.from + length * to)
  }

  /// Reports the progress to the caller, in the caller's thread, and checks whether to continue.
  package func poll(share: Double = 0) throws(CoverTreeError) {
    reportProgress(share: share)
    if stopped.load(ordering: .relaxed) { throw CallContext.cancelled }
  }

  /// The same inside the body of a loop, for slow bodies.
  ///
  /// - Parameter slot: of the thread that runs the body. Only the calling thread, whose slot is 0, reports.
  @inlinable @inline(__always)
  package func poll(inSlot slot: Int, share: Double = 0) throws(CoverTreeError) {
    if slot == 0 { reportProgress(share: share) }
    if stopped.load(ordering: .relaxed) { throw CallContext.cancelled }
  }

  @usableFromInline
  static let cancelled = CoverTreeError(.cancelled, "cancelled by the progress callback")

  @usableFromInline
  func reportProgress(share: Double) {
    guard let report, pthread_equal(pthread_self(), caller) != 0, nextReport.isFinite else { return }
    let now = monotonicSeconds()
    guard now >= nextReport else { return }
    nextReport = now + CallContext.reportInterval
    reported = max(reported, progress.from + (progress.to - progress.from) * share)
    if !report(reported) {
      stopped.store(true, ordering: .relaxed)
      nextReport = .infinity
    }
  }

  /// A grain for `forEach`: the number of items that need some milliseconds, by the vector operations of one, so that the caller is asked
  /// often enough; at most `most`.
  package static func grain(operationsPerItem: Int, most: Int) -> Int {
    max(1, min(most, 20_000_000 / max(1, operationsPerItem)))
  }

  /// Calls `body(range, slot)` for ranges that together make `0..<count`, from several threads, each range once.
  ///
  /// Threads get ranges of `grain` as they become free. `slot` is below `threads`, and no two running calls share one: it selects a
  /// thread's scratch. If calls fail, the error of the first range that failed is thrown, and no new range begins.
  @usableFromInline
  package func forEach(
    _ count: Int, grain: Int, _ body: (Range<Int>, Int) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    guard count > 0 else { return }
    let chunks = (count + grain - 1) / grain
    let slots = min(threads, chunks)
    if slots == 1 {
      for chunk in 0..<chunks {
        try poll(share: Double(chunk) / Double(chunks))
        try body(chunk * grain..<min(count, (chunk + 1) * grain), 0)
      }
      return
    }
    let loop = SharedLoop()
    ThreadPool.shared.run(
      slots: slots,
      body: { slot in
        while !loop.failed.load(ordering: .relaxed) && !self.stopped.load(ordering: .relaxed) {
          let chunk = loop.next.wrappingAdd(1, ordering: .relaxed).oldValue
          guard chunk < chunks else { return }
          if slot == 0 { self.reportProgress(share: Double(chunk) / Double(chunks)) }
          do throws(CoverTreeError) {
            try body(chunk * grain..<min(count, (chunk + 1) * grain), slot)
          } catch {
            loop.record(error, chunk: chunk)
          }
        }
      },
      whileWaiting: { self.reportProgress(share: 1) })
    if let error = loop.error { throw error }
    if stopped.load(ordering: .relaxed) { throw CallContext.cancelled }
  }
}

/// The state that the threads of one loop share.
private final class SharedLoop: @unchecked Sendable {
  let next = Atomic<Int>(0)
  let failed = Atomic<Bool>(false)
  private let first = Mutex<(chunk: Int, error: CoverTreeError)?>(nil)

  var error: CoverTreeError? { first.withLock { $0?.error } }

  func record(_ error: CoverTreeError, chunk: Int) {
    first.withLock { if $0 == nil || chunk < $0!.chunk { $0 = (chunk, error) } }
    failed.store(true, ordering: .relaxed)
  }
}

extension CallContext {
  /// The values that `body` gives for `0..<count`, in that order, without nil. Calls run in parallel.
  @inlinable
  package func collect(
    _ count: Int, _ body: (Int) throws(CoverTreeError) -> Int32?
  ) throws(CoverTreeError) -> GrowableBuffer<Int32> {
    let found = try GrowableBuffer<Int32>()
    try collect(count, into: found, body)
    return found
  }

  /// The same, but replaces the contents of a buffer.
  @inlinable
  package func collect(
    _ count: Int, into found: GrowableBuffer<Int32>, _ body: (Int) throws(CoverTreeError) -> Int32?
  ) throws(CoverTreeError) {
    try collect(count, grain: 1 << 14, into: found) { (range, target) throws(CoverTreeError) in
      var next = 0
      for index in range {
        guard let value = try body(index) else { continue }
        target[next] = value
        next += 1
      }
      return next
    }
  }

  /// The same for a `body` that writes the values of a range, at most one each, and returns their number.
  @usableFromInline
  package func collect(
    _ count: Int, grain: Int, into found: GrowableBuffer<Int32>,
    _ body: (Range<Int>, UnsafeMutablePointer<Int32>) throws(CoverTreeError) -> Int
  ) throws(CoverTreeError) {
    try found.resize(to: count)
    let counts = try Buffer<Int>(count: (count + grain - 1) / grain)
    try forEach(count, grain: grain) { (range, _) throws(CoverTreeError) in
      counts[range.lowerBound / grain] = try body(range, found.base + range.lowerBound)
    }
    var total = 0
    for chunk in 0..<counts.count {
      (found.base + total).update(from: found.base + chunk * grain, count: counts[chunk])
      total += counts[chunk]
    }
    try found.resize(to: total)
  }

  /// The greatest of the values that `body` gives for `0..<count`; nil if `count` is 0. Calls run in parallel.
  @inlinable
  package func greatest<Value: Comparable & BitwiseCopyable>(
    of count: Int, grain: Int, _ body: (Int) throws(CoverTreeError) -> Value
  ) throws(CoverTreeError) -> Value? {
    let greatest = try Buffer<Value>(count: (count + grain - 1) / grain)
    try forEach(count, grain: grain) { (range, _) throws(CoverTreeError) in
      var mine = try body(range.lowerBound)
      for index in range.dropFirst() {
        let value = try body(index)
        if value > mine { mine = value }
      }
      greatest[range.lowerBound / grain] = mine
    }
    return greatest.elements.max()
  }
}
