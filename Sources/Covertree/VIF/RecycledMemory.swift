import CovertreeBase

/// Memory of models that were freed, for the next models of the same points: an optimiser makes one for each evaluation, and the system
/// takes about as long to clear new pages as a model to fill them.
final class RecycledMemory: @unchecked Sendable {
  /// More is given back to the system.
  private static let mostBytes = 1 << 30

  // Guarded by the process lock.
  private var free: [Buffer<Double>] = []

  /// Elements that may be anything.
  func buffer(count: Int) throws(CoverTreeError) -> Buffer<Double> {
    let used = processLock.locked { () -> Buffer<Double>? in
      guard let index = free.firstIndex(where: { $0.count == count }) else { return nil }
      return free.remove(at: index)
    }
    if let used { return lend(used) }
    let memory = try Buffer<Double>(count: count)
    memory.preferLargePages()
    return lend(memory)
  }

  private func lend(_ memory: Buffer<Double>) -> Buffer<Double> {
    Buffer(viewing: memory.base, count: memory.count, owner: Lease(memory, from: self))
  }

  private func take(_ memory: Buffer<Double>) {
    processLock.locked {
      let bytes = free.reduce(memory.byteCount) { $0 + $1.byteCount }
      if bytes <= Self.mostBytes { free.append(memory) }
    }
  }

  /// Returns the memory if nothing uses it any more.
  private final class Lease {
    private let memory: Buffer<Double>
    private let origin: RecycledMemory

    init(_ memory: Buffer<Double>, from origin: RecycledMemory) { (self.memory, self.origin) = (memory, origin) }

    deinit { origin.take(memory) }
  }
}
