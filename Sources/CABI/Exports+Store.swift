import CCovertree
import Covertree
import CovertreeBase
import CovertreeStore

// The vector store.

extension Arguments {
  /// Ids in the form of the store. The header's struct has the same layout, except for its reserved field.
  fileprivate static func ids(
    _ ids: UnsafePointer<covertree_id>?, _ count: Int64,
    _ body: (UnsafeBufferPointer<StoreID>) throws(CoverTreeError) -> Void
  ) throws(CoverTreeError) {
    guard count >= 0, count < 1 << 31, ids != nil || count == 0 else {
      throw CoverTreeError(.invalidArgument, "ids: expected an array, got \(count) of NULL")
    }
    let converted = try Buffer<StoreID>(count: Int(count))
    for i in 0..<Int(count) { converted[i] = try Arguments.id(ids![i], "ids[\(i)]") }
    try body(converted.elements)
  }

  fileprivate static func id(_ id: UnsafePointer<covertree_id>?) throws(CoverTreeError) -> StoreID {
    guard let id else { throw CoverTreeError(.invalidArgument, "id: is NULL") }
    return try Arguments.id(id.pointee, "id")
  }

  @inline(__always)
  fileprivate static func id(_ id: covertree_id, _ name: @autoclosure () -> String) throws(CoverTreeError) -> StoreID {
    guard StoreID.Kind(rawValue: id.kind) != nil, id.kind != StoreID.Kind.number.rawValue || id.high == 0 else {
      throw CoverTreeError(.invalidArgument, "\(name()).kind: expected a covertree_id_kind, got \(id.kind)")
    }
    return StoreID(high: id.high, low: id.low, kind: id.kind)
  }

  fileprivate static func names(
    _ names: UnsafePointer<CChar>?, _ ends: UnsafePointer<Int64>?, _ count: Int64, _ copies: Copies
  ) throws(CoverTreeError) -> StoreNames? {
    guard let names else { return nil }
    guard let ends else { throw CoverTreeError(.invalidArgument, "name_ends: is NULL") }
    let copied = try copies.elements(UnsafeBufferPointer(start: ends, count: Int(max(0, count))))
    var before: Int64 = 0
    for i in 0..<copied.count {
      guard copied[i] >= before, copied[i] - before < 1 << 30 else {
        throw CoverTreeError(.invalidArgument, "name_ends[\(i)]: expected \(before) or more, got \(copied[i])")
      }
      before = copied[i]
    }
    return StoreNames(bytes: try copies.elements(UnsafeBufferPointer(start: names, count: Int(before))), ends: copied)
  }
}

/// The store of a handle.
func opened(store: OpaquePointer?) throws(CoverTreeError) -> VectorStore {
  try HandleTable.shared.object(store, StoreHandle.self, named: "store").store
}

/// Runs the body of an export that returns a slot, or the negated status on failure.
private func slot(_ body: () throws(CoverTreeError) -> Int) -> Int64 {
  var found = 0
  let status = status { () throws(CoverTreeError) in found = try body() }
  return status == COVERTREE_OK ? Int64(found) : -Int64(status.rawValue)
}

private func sync(_ value: Int32) throws(CoverTreeError) -> VectorStore.Sync {
  guard let sync = VectorStore.Sync(rawValue: value) else {
    throw CoverTreeError(.invalidArgument, "sync: expected a covertree_store_sync, got \(value)")
  }
  return sync
}

@_cdecl("covertree_store_create") @implementation
public func covertree_store_create(_ dim: Int64, _ store: UnsafeMutablePointer<OpaquePointer?>?) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try Arguments.output(store, named: "store")
    output.pointee = HandleTable.shared.add(StoreHandle(try VectorStore(dim: Int(clamping: dim))))
  }
}

@_cdecl("covertree_store_open") @implementation
public func covertree_store_open(
  _ path: UnsafePointer<CChar>?, _ dim: Int64, _ sync: Int32, _ flags: UInt32,
  _ options: UnsafePointer<covertree_call_options>?, _ store: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try Arguments.output(store, named: "store")
    guard flags & ~COVERTREE_STORE_READ_ONLY.rawValue == 0 else {
      throw CoverTreeError(.unsupported, "flags: unknown store flags in \(flags)")
    }
    let opened = try VectorStore.open(
      Arguments.path(path), dim: Int(clamping: dim), sync: CABI.sync(sync),
      readOnly: flags & COVERTREE_STORE_READ_ONLY.rawValue != 0, context: callContext(options))
    output.pointee = HandleTable.shared.add(StoreHandle(opened))
  }
}

@_cdecl("covertree_store_free") @implementation
public func covertree_store_free(_ store: OpaquePointer?) { HandleTable.shared.remove(store, StoreHandle.self) }

@_cdecl("covertree_store_add") @implementation
public func covertree_store_add(
  _ store: OpaquePointer?, _ ids: UnsafePointer<covertree_id>?, _ names: UnsafePointer<CChar>?,
  _ name_ends: UnsafePointer<Int64>?, _ vectors: UnsafePointer<covertree_matrix>?,
  _ options: UnsafePointer<covertree_call_options>?, _ slots: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let store = try opened(store: store)
    let vectors: PointsView<Float> = try Arguments.view(vectors, "vectors", minimum: 0)
    let names = try Arguments.names(names, name_ends, Int64(vectors.count), copies)
    let output = try Arguments.output(slots, named: "slots")
    let context = try callContext(options)
    try Arguments.ids(ids, Int64(vectors.count)) { (ids) throws(CoverTreeError) in
      try store.add(ids, vectors, names: names, context: context, slots: output)
    }
  }
}

@_cdecl("covertree_store_add_one") @implementation
public func covertree_store_add_one(
  _ store: OpaquePointer?, _ id: UnsafePointer<covertree_id>?, _ vector: UnsafePointer<Float>?
) -> Int64 {
  slot { () throws(CoverTreeError) in
    let store = try opened(store: store)
    guard let vector else { throw CoverTreeError(.invalidArgument, "vector: is NULL") }
    return try store.add(Arguments.id(id), PointsView(base: vector, count: 1, dim: store.dim))
  }
}

@_cdecl("covertree_store_remove") @implementation
public func covertree_store_remove(
  _ store: OpaquePointer?, _ ids: UnsafePointer<covertree_id>?, _ n_ids: Int64,
  _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let context = try callContext(options)
    try Arguments.ids(ids, n_ids) { (ids) throws(CoverTreeError) in try store.remove(ids, context: context) }
  }
}

@_cdecl("covertree_store_find") @implementation
public func covertree_store_find(
  _ store: OpaquePointer?, _ ids: UnsafePointer<covertree_id>?, _ n_ids: Int64, _ slots: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let output = try Arguments.output(slots, named: "slots")
    try Arguments.ids(ids, n_ids) { (ids) throws(CoverTreeError) in try store.find(ids, slots: output) }
  }
}

@_cdecl("covertree_store_find_one") @implementation
public func covertree_store_find_one(_ store: OpaquePointer?, _ id: UnsafePointer<covertree_id>?) -> Int64 {
  slot { () throws(CoverTreeError) in try opened(store: store).find(Arguments.id(id)) }
}

@_cdecl("covertree_store_slot_count") @implementation
public func covertree_store_slot_count(
  _ store: OpaquePointer?, _ slot: Int64, _ n_ids: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let output = try Arguments.output(n_ids, named: "n_ids")
    output.pointee = Int64(try store.count(ofSlot: Int(slot)))
  }
}

@_cdecl("covertree_store_check_slots") @implementation
public func covertree_store_check_slots(
  _ store: OpaquePointer?, _ slots: UnsafePointer<Int64>?, _ n_slots: Int64
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let store = try opened(store: store)
    try store.check(slots: copies.elements(Arguments.indices(slots, n_slots, named: "slots")))
  }
}

@_cdecl("covertree_store_list") @implementation
public func covertree_store_list(
  _ store: OpaquePointer?, _ cursor: UnsafeMutablePointer<Int64>?, _ capacity: Int64,
  _ ids: UnsafeMutablePointer<covertree_id>?,
  _ slots: UnsafeMutablePointer<Int64>?, _ n_written: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let cursor = try Arguments.output(cursor, named: "cursor")
    let (ids, slots) = (try Arguments.output(ids, named: "ids"), try Arguments.output(slots, named: "slots"))
    let output = try Arguments.output(n_written, named: "n_written")
    guard capacity >= 0 else { throw CoverTreeError(.invalidArgument, "capacity: expected 0 or more, got \(capacity)") }
    let (count, next) = try store.list(from: Int(cursor.pointee), room: Int(capacity)) { index, id, slot in
      ids[index] = covertree_id(low: id.low, high: id.high, kind: id.kind, reserved: 0)
      slots[index] = Int64(slot)
    }
    (cursor.pointee, output.pointee) = (Int64(next), Int64(count))
  }
}

@_cdecl("covertree_store_name") @implementation
public func covertree_store_name(
  _ store: OpaquePointer?, _ id: UnsafePointer<covertree_id>?, _ name: UnsafeMutablePointer<CChar>?,
  _ capacity: Int64, _ length: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let output = try Arguments.output(length, named: "length")
    let found = try store.name(of: Arguments.id(id))
    if let name {
      guard capacity >= found.count else {
        throw CoverTreeError(.invalidArgument, "capacity: expected \(found.count) or more, got \(capacity)")
      }
      for (index, byte) in found.enumerated() { name[index] = CChar(bitPattern: byte) }
    }
    output.pointee = Int64(found.count)
  }
}

@_cdecl("covertree_store_rows_get") @implementation
public func covertree_store_rows_get(
  _ store: OpaquePointer?, _ rows: UnsafeMutablePointer<OpaquePointer?>?,
  _ base: UnsafeMutablePointer<UnsafePointer<Float>?>?, _ row_bytes: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let output = try Arguments.output(rows, named: "rows")
    let (base, rowBytes) = (
      try Arguments.output(base, named: "base"), try Arguments.output(row_bytes, named: "row_bytes")
    )
    let space = store.rowSpace
    (base.pointee, rowBytes.pointee) = (space.base, Int64(space.rowBytes))
    output.pointee = HandleTable.shared.add(StoreRowsHandle(space))
  }
}

@_cdecl("covertree_store_rows_free") @implementation
public func covertree_store_rows_free(_ rows: OpaquePointer?) {
  HandleTable.shared.remove(rows, StoreRowsHandle.self)
}

@_cdecl("covertree_store_get_info") @implementation
public func covertree_store_get_info(
  _ store: OpaquePointer?, _ info: UnsafeMutablePointer<covertree_store_info>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let output = try Arguments.output(info, named: "info")
    let info = try store.info()
    output.pointee = covertree_store_info(
      dim: Int64(store.dim), n_ids: Int64(info.count), n_unique: Int64(info.uniqueCount),
      n_slots: Int64(info.slotCount), n_free: Int64(info.freeCount), row_bytes: Int64(info.rowBytes),
      n_reserved: Int64(info.reservedCount), memory_bytes: Int64(info.memoryBytes), file_bytes: Int64(info.fileBytes),
      generation: Int64(info.generation), sync: store.sync.rawValue,
      flags: store.isReadOnly ? COVERTREE_STORE_READ_ONLY.rawValue : 0)
  }
}

@_cdecl("covertree_store_snapshot") @implementation
public func covertree_store_snapshot(
  _ store: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    try opened(store: store).snapshot(Arguments.path(path), context: callContext(options))
  }
}

@_cdecl("covertree_store_restore") @implementation
public func covertree_store_restore(
  _ snapshot: UnsafePointer<CChar>?, _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    try VectorStore.restore(
      Arguments.path(snapshot, named: "snapshot"), to: Arguments.path(path), context: callContext(options))
  }
}

@_cdecl("covertree_store_check") @implementation
public func covertree_store_check(
  _ store: OpaquePointer?, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  status { () throws(CoverTreeError) in try opened(store: store).check(context: callContext(options)) }
}

@_cdecl("covertree_store_compact") @implementation
public func covertree_store_compact(
  _ store: OpaquePointer?, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  status { () throws(CoverTreeError) in try opened(store: store).compact(context: callContext(options)) }
}
