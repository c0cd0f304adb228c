import CCovertree
import Covertree
import CovertreeBase
import CovertreeFiles
import Glibc

let handles = HandleTable()

/// The objects of the caller's handles.
///
/// A handle is not an address but a number that is given once: a slot and the count of earlier handles. So a handle that was freed, or
/// never given, is recognised, even if its slot is used again.
final class HandleTable: @unchecked Sendable {
  private struct Slot {
    var handle: UInt
    var object: AnyObject?
  }

  private let lock = processLock
  // Guarded by it.
  private var slots: [Slot] = []
  private var free: [Int] = []
  private var given: UInt = 0

  func add(_ object: AnyObject) -> Handle {
    lock.locked {
      let slot = free.popLast() ?? slots.count
      given += 1
      let handle = given << 28 | UInt(slot + 1)
      if slot == slots.count {
        slots.append(Slot(handle: handle, object: object))
      } else {
        slots[slot] = Slot(handle: handle, object: object)
      }
      return OpaquePointer(bitPattern: handle)
    }
  }

  /// The object of a handle. The caller's reference keeps it alive even if the handle is freed during the call.
  func object<T: AnyObject>(_ handle: Handle, named name: String) throws(CoverTreeError) -> T {
    let handle = try required(handle, name)
    let object = lock.locked { slot(of: handle).flatMap { slots[$0].object } }
    guard let object else {
      throw CoverTreeError(.invalidArgument, "\(name): is not a handle of this library, or was freed")
    }
    guard let typed = object as? T else {
      throw CoverTreeError(.invalidArgument, "\(name): is a handle of another type")
    }
    return typed
  }

  /// Forgets a handle; does nothing if it is NULL, stale or of another type.
  func remove<T: AnyObject>(_ handle: Handle, _ type: T.Type) {
    guard let handle else { return }
    // The last reference is released outside of the lock, because freeing a tree is slow.
    let object = lock.locked { () -> AnyObject? in
      guard let slot = slot(of: handle), slots[slot].object is T else { return nil }
      defer {
        slots[slot] = Slot(handle: 0, object: nil)
        free.append(slot)
      }
      return slots[slot].object
    }
    withExtendedLifetime(object) {}
  }

  private func slot(of handle: OpaquePointer) -> Int? {
    let bits = UInt(bitPattern: handle)
    let slot = Int(bits & 0xFFF_FFFF) - 1
    guard slot >= 0, slot < slots.count, slots[slot].handle == bits else { return nil }
    return slot
  }
}

let trees = LazyHandles<AnyCoverTree>(name: "tree")
let indexes = LazyHandles<VectorIndex>(name: "index")
let models = LazyHandles<ResidualSearch>(name: "residual")
let vifs = LazyHandles<VIFSystem>(name: "vif")
let vifParts = LazyHandles<VIFPart>(name: "part")

/// Handles of values that may come from a file.
struct LazyHandles<Value: Sendable>: Sendable {
  /// In messages.
  let name: String

  func add(_ value: Value) -> Handle { handles.add(LazyHandle(value)) }
  func add(loading load: @escaping (CallContext) throws(CoverTreeError) -> Value) -> Handle {
    handles.add(LazyHandle<Value>(loading: load))
  }
  func remove(_ handle: Handle) { handles.remove(handle, LazyHandle<Value>.self) }

  /// The value of a handle. The first call that needs the value of a file loads it, in its own context.
  func value(
    _ handle: Handle, named name: String? = nil, _ context: CallContext
  ) throws(CoverTreeError) -> Value {
    let object: LazyHandle<Value> = try handles.object(handle, named: name ?? self.name)
    return try object.value(context)
  }

  /// The value, and the context for the options.
  func opened(_ handle: Handle, _ options: In<covertree_call_options>) throws(CoverTreeError) -> (Value, CallContext) {
    let context = try callContext(options)
    return (try value(handle, context), context)
  }

  /// Runs the body of an export with these, and with copies of the caller's arrays.
  func run(
    _ handle: Handle, _ options: In<covertree_call_options> = nil,
    _ body: (Value, CallContext, Copies) throws(CoverTreeError) -> Void
  ) -> covertree_status {
    copying { (copies) throws(CoverTreeError) in
      let (value, context) = try opened(handle, options)
      try body(value, context, copies)
    }
  }
}

/// A value, or a file from which it is loaded on first use: so a large file opens as fast as a small one.
private final class LazyHandle<Value: Sendable>: @unchecked Sendable {
  private let known: Value?
  private let loaded = Lazy<Box<Value>>()
  private let load: (CallContext) throws(CoverTreeError) -> Value

  init(_ value: Value) {
    known = value
    load = { _ in value }
  }

  init(loading load: @escaping (CallContext) throws(CoverTreeError) -> Value) {
    known = nil
    self.load = load
  }

  func value(_ context: CallContext) throws(CoverTreeError) -> Value {
    if let known { return known }
    return try loaded.get { () throws(CoverTreeError) in Box(try load(context)) }.value
  }
}

typealias NeighborsHandle = Box<AnyNeighborLists>

final class ArraysHandle {
  let arrays: TreeArrays
  let isFloat32: Bool

  init(_ arrays: TreeArrays, isFloat32: Bool) { (self.arrays, self.isFloat32) = (arrays, isFloat32) }
}

final class FileHandle {
  let file: StoredFile
  /// The names of the sections, for the caller.
  let names: [UnsafeMutablePointer<CChar>?]

  init(_ file: StoredFile) {
    self.file = file
    names = file.sections.map { strdup($0.name) }
  }

  deinit { for name in names { free(name) } }
}
