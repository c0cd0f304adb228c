import CCovertree
import Covertree
import CovertreeBase
import CovertreeStore

// The vector store.

extension Copies {
  /// Ids in the form of the store. The header's struct has the same layout, except for its reserved field.
  fileprivate func ids(_ ids: In<covertree_id>, _ count: Int64) throws(CoverTreeError) -> UnsafeBufferPointer<StoreID> {
    guard count >= 0, count < 1 << 31, ids != nil || count == 0 else {
      throw CoverTreeError(.invalidArgument, "ids: expected an array, got \(count) of NULL")
    }
    let converted = try Buffer<StoreID>(count: Int(count))
    for i in 0..<Int(count) { converted[i] = try Arguments.id(ids![i], "ids[\(i)]") }
    keep(converted)
    return converted.elements
  }

  fileprivate func names(_ names: In<CChar>, _ ends: In<Int64>, _ count: Int) throws(CoverTreeError) -> StoreNames? {
    guard let names else { return nil }
    let ends = try elements(UnsafeBufferPointer(start: required(ends, "name_ends"), count: count))
    var before: Int64 = 0
    for (i, end) in ends.enumerated() {
      guard end >= before, end - before < 1 << 30 else {
        throw CoverTreeError(.invalidArgument, "name_ends[\(i)]: expected \(before) or more, got \(end)")
      }
      before = end
    }
    return StoreNames(bytes: try elements(UnsafeBufferPointer(start: names, count: Int(before))), ends: ends)
  }
}

extension Arguments {
  fileprivate static func id(_ id: In<covertree_id>) throws(CoverTreeError) -> StoreID {
    try Arguments.id(required(id, "id").pointee, "id")
  }

  @inline(__always)
  fileprivate static func id(_ id: covertree_id, _ name: @autoclosure () -> String) throws(CoverTreeError) -> StoreID {
    guard StoreID.Kind(rawValue: id.kind) != nil, id.kind != StoreID.Kind.number.rawValue || id.high == 0 else {
      throw CoverTreeError(.invalidArgument, "\(name()).kind: expected a covertree_id_kind, got \(id.kind)")
    }
    return StoreID(high: id.high, low: id.low, kind: id.kind)
  }
}

func opened(store: Handle) throws(CoverTreeError) -> VectorStore {
  try handles.object(store, named: "store")
}

/// Runs the body of an export that returns a slot, or the negated status on failure.
private func slot(_ body: () throws(CoverTreeError) -> Int) -> Int64 {
  var found = 0
  let status = status { () throws(CoverTreeError) in found = try body() }
  return status == COVERTREE_OK ? Int64(found) : -Int64(status.rawValue)
}

@_cdecl("covertree_store_create") @implementation
public func covertree_store_create(_ dim: Int64, _ store: Out<Handle>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try required(store, "store")
    output.pointee = handles.add(try VectorStore(dim: Int(clamping: dim)))
  }
}

@_cdecl("covertree_store_open") @implementation
public func covertree_store_open(
  _ path: In<CChar>, _ dim: Int64, _ sync: Int32, _ flags: UInt32, _ options: In<covertree_call_options>,
  _ store: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let output = try required(store, "store")
    guard flags & ~COVERTREE_STORE_READ_ONLY.rawValue == 0 else {
      throw CoverTreeError(.unsupported, "flags: unknown store flags in \(flags)")
    }
    let opened = try VectorStore.open(
      Arguments.path(path), dim: Int(clamping: dim), sync: Arguments.known(sync, "sync", "covertree_store_sync"),
      readOnly: flags & COVERTREE_STORE_READ_ONLY.rawValue != 0, context: callContext(options))
    output.pointee = handles.add(opened)
  }
}

@_cdecl("covertree_store_free") @implementation
public func covertree_store_free(_ store: Handle) { handles.remove(store, VectorStore.self) }

@_cdecl("covertree_store_add") @implementation
public func covertree_store_add(
  _ store: Handle, _ ids: In<covertree_id>, _ names: In<CChar>, _ name_ends: In<Int64>, _ vectors: In<covertree_matrix>,
  _ options: In<covertree_call_options>, _ slots: Out<Int64>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let store = try opened(store: store)
    let vectors: PointsView<Float> = try Arguments.view(vectors, "vectors", minimum: 0)
    let names = try copies.names(names, name_ends, vectors.count)
    let (output, context) = (try required(slots, "slots"), try callContext(options))
    try store.add(copies.ids(ids, Int64(vectors.count)), vectors, names: names, context: context, slots: output)
  }
}

@_cdecl("covertree_store_add_one") @implementation
public func covertree_store_add_one(_ store: Handle, _ id: In<covertree_id>, _ vector: In<Float>) -> Int64 {
  slot { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let vector = PointsView(base: try required(vector, "vector"), count: 1, dim: store.dim)
    return try store.add(Arguments.id(id), vector)
  }
}

@_cdecl("covertree_store_remove") @implementation
public func covertree_store_remove(
  _ store: Handle, _ ids: In<covertree_id>, _ n_ids: Int64, _ options: In<covertree_call_options>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    try opened(store: store).remove(copies.ids(ids, n_ids), context: callContext(options))
  }
}

@_cdecl("covertree_store_find") @implementation
public func covertree_store_find(
  _ store: Handle, _ ids: In<covertree_id>, _ n_ids: Int64, _ slots: Out<Int64>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    try opened(store: store).find(copies.ids(ids, n_ids), slots: required(slots, "slots"))
  }
}

@_cdecl("covertree_store_find_one") @implementation
public func covertree_store_find_one(_ store: Handle, _ id: In<covertree_id>) -> Int64 {
  slot { () throws(CoverTreeError) in try opened(store: store).find(Arguments.id(id)) }
}

@_cdecl("covertree_store_slot_count") @implementation
public func covertree_store_slot_count(_ store: Handle, _ slot: Int64, _ n_ids: Out<Int64>) -> covertree_status {
  status { () throws(CoverTreeError) in
    try required(n_ids, "n_ids").pointee = Int64(opened(store: store).count(ofSlot: Int(slot)))
  }
}

@_cdecl("covertree_store_check_slots") @implementation
public func covertree_store_check_slots(_ store: Handle, _ slots: In<Int64>, _ n_slots: Int64) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    try opened(store: store).check(slots: copies.indices(slots, n_slots, "slots"))
  }
}

@_cdecl("covertree_store_list") @implementation
public func covertree_store_list(
  _ store: Handle, _ cursor: Out<Int64>, _ capacity: Int64, _ ids: Out<covertree_id>, _ slots: Out<Int64>,
  _ n_written: Out<Int64>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let cursor = try required(cursor, "cursor")
    let (ids, slots) = (try required(ids, "ids"), try required(slots, "slots"))
    let output = try required(n_written, "n_written")
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
  _ store: Handle, _ id: In<covertree_id>, _ name: Out<CChar>, _ capacity: Int64, _ length: Out<Int64>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let output = try required(length, "length")
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
  _ store: Handle, _ rows: Out<Handle>, _ base: Out<In<Float>>, _ row_bytes: Out<Int64>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let output = try required(rows, "rows")
    let (base, rowBytes) = (try required(base, "base"), try required(row_bytes, "row_bytes"))
    let space = store.rowSpace
    (base.pointee, rowBytes.pointee) = (space.base, Int64(space.rowBytes))
    output.pointee = handles.add(space)
  }
}

@_cdecl("covertree_store_rows_free") @implementation
public func covertree_store_rows_free(_ rows: Handle) { handles.remove(rows, StoreRowSpace.self) }

@_cdecl("covertree_store_get_info") @implementation
public func covertree_store_get_info(_ store: Handle, _ info: Out<covertree_store_info>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let store = try opened(store: store)
    let output = try required(info, "info")
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
  _ store: Handle, _ path: In<CChar>, _ options: In<covertree_call_options>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    try opened(store: store).snapshot(Arguments.path(path), context: callContext(options))
  }
}

@_cdecl("covertree_store_restore") @implementation
public func covertree_store_restore(
  _ snapshot: In<CChar>, _ path: In<CChar>, _ options: In<covertree_call_options>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    try VectorStore.restore(
      Arguments.path(snapshot, named: "snapshot"), to: Arguments.path(path), context: callContext(options))
  }
}

@_cdecl("covertree_store_check") @implementation
public func covertree_store_check(_ store: Handle, _ options: In<covertree_call_options>) -> covertree_status {
  status { () throws(CoverTreeError) in try opened(store: store).check(context: callContext(options)) }
}

@_cdecl("covertree_store_compact") @implementation
public func covertree_store_compact(_ store: Handle, _ options: In<covertree_call_options>) -> covertree_status {
  status { () throws(CoverTreeError) in try opened(store: store).compact(context: callContext(options)) }
}
