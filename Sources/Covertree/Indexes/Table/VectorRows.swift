import CNumerics
import CovertreeBase
import CovertreeFiles

/// Vectors in rows of one storage type: a row for each slot of a table.
///
/// Bytes are `x = center + scale (byte - 128)`, with a scale for each row; the center is the mean of the first batch. Rows of float32 may
/// be *pinned* in a store (`VectorRows+Pinned`); then only their slots there are stored here.
final class VectorRows: @unchecked Sendable {
  let storage: VectorStorage
  let dim: Int
  /// Scores are negative inner products instead of squared distances.
  private let products: Bool
  /// The coordinates of a row, padding included.
  let coordinates: Int
  private let rowBytes: Int
  let bytes: GrowableBuffer<UInt8>
  private let scales: GrowableBuffer<Float>
  private let lengths: GrowableBuffer<Float>
  private let center: Buffer<Float>
  private var isCentered = false
  /// The source of pinned rows; nil for own rows.
  let source: RowSource?

  private static var centerSample: Int { 4096 }

  /// - Parameter padded: whether rows are padded to whole cache lines; float32 rows need not be.
  init(_ storage: VectorStorage, dim: Int, products: Bool, padded: Bool) throws(CoverTreeError) {
    (self.storage, self.dim, self.products) = (storage, dim, products)
    (coordinates, rowBytes) = Self.extent(storage, dim, padded)
    (bytes, scales, lengths) = (try GrowableBuffer(), try GrowableBuffer(), try GrowableBuffer())
    center = try Buffer(count: coordinates, filledWith: 0)
    source = nil
  }

  /// Rows that are pinned in a store.
  ///
  /// - Parameter bytes: a `cn_leased_row` for each pinned row.
  init(of source: RowSource, products: Bool, bytes: GrowableBuffer<UInt8>) throws(CoverTreeError) {
    (storage, dim, self.products, self.source, self.bytes) = (.float32, source.dim, products, source, bytes)
    (coordinates, _) = Self.extent(.float32, source.dim, true)
    rowBytes = MemoryLayout<cn_leased_row>.stride
    (scales, lengths, center) = (try GrowableBuffer(), try GrowableBuffer(), try Buffer(count: 0))
  }

  deinit { unpin(0..<count) }

  private static func extent(_ storage: VectorStorage, _ dim: Int, _ padded: Bool) -> (Int, Int) {
    let size = [VectorStorage.float32: 4, .float16: 2, .int8: 1][storage]!
    let unit = padded || storage != .float32 ? 64 / size : 1
    let coordinates = (dim + unit - 1) / unit * unit
    return (coordinates, coordinates * size)
  }

  var count: Int { bytes.count / rowBytes }
  var byteCount: Int { bytes.byteCount + scales.byteCount + lengths.byteCount }

  /// The kernels' view, valid until the next change.
  var view: cn_rows {
    cn_rows(
      base: bytes.base, stride: Int64(rowBytes), coordinates: Int64(coordinates), scales: scales.base,
      lengths: lengths.base, center: center.base, leased: source?.base, leased_stride: Int64(source?.rowBytes ?? 0),
      scaled: source?.scales == true ? 1 : 0, kind: kind, products: products ? 1 : 0)
  }

  private var kind: Int32 {
    switch storage {
    case .float32: Int32(source == nil ? CN_ROWS_F32 : CN_ROWS_LEASED)
    case .float16: Int32(CN_ROWS_F16)
    case .int8: Int32(CN_ROWS_BYTES)
    }
  }

  /// Whether coordinates are stored unchanged.
  var areInPlace: Bool { storage == .float32 && source?.scales != true }

  /// The start of row 0, or of the store's slot 0.
  var firstFloats: UnsafePointer<Float> {
    (source?.base ?? UnsafeRawPointer(bytes.base)).assumingMemoryBound(to: Float.self)
  }

  /// The offset between rows, or between slots of the store.
  var floatStride: Int { (source?.rowBytes ?? rowBytes) / MemoryLayout<Float>.stride }

  /// A row's coordinates, if they are stored unchanged.
  @inline(__always)
  func floats(_ slot: Int) -> UnsafePointer<Float> {
    source?.row(pinned(slot).slot) ?? firstFloats + slot &* floatStride
  }

  /// A row's coordinates: in place, or written to `scratch` with their padding.
  func floats(_ slot: Int, or scratch: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
    if areInPlace { return floats(slot) }
    var view = view
    cn_decode_row(&view, Int64(slot), scratch)
    return UnsafePointer(scratch)
  }

  @inline(__always)
  func code(_ slot: Int) -> UnsafePointer<UInt8> { UnsafePointer(bytes.base + slot &* rowBytes) }

  @inline(__always)
  func scale(_ slot: Int) -> Float { scales.base[slot] }

  /// Writes a row's `dim` coordinates as they are stored.
  ///
  /// - Parameter scratch: of `coordinates`.
  func decode(_ slot: Int, into target: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>) {
    target.update(from: floats(slot, or: scratch), count: dim)
  }

  /// Rows as they are stored: in place, or written to `target`.
  func points(
    _ slots: Range<Int>, into target: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) -> PointsView<Float> {
    if storage == .float32, source == nil {
      return PointsView(base: floats(slots.lowerBound), count: slots.count, dim: dim, stride: floatStride)
    }
    for (index, slot) in slots.enumerated() { decode(slot, into: target + index * dim, scratch: scratch) }
    return PointsView(base: target, count: slots.count, dim: dim)
  }

  /// The arrays, with names that begin with a prefix.
  func sections(_ prefix: String) throws(CoverTreeError) -> [Section] {
    if source != nil { return try pinnedSections() }
    let rows =
      storage == .float32
      ? Section("\(prefix).rows", bytes.buffer.reinterpreted(as: Float.self), columns: coordinates)
      : Section("\(prefix).rows", bytes.buffer, columns: rowBytes)
    guard storage == .int8 else { return [rows] }
    return [
      rows, Section("\(prefix).scales", scales.buffer), Section("\(prefix).lengths", lengths.buffer),
      Section("\(prefix).center", center),
    ]
  }

  init(
    _ file: StoredFile, _ prefix: String, _ storage: VectorStorage, dim: Int, products: Bool, padded: Bool, count: Int,
    context: CallContext
  ) throws(CoverTreeError) {
    (self.storage, self.dim, self.products, source) = (storage, dim, products, nil)
    (coordinates, rowBytes) = Self.extent(storage, dim, padded)
    bytes = GrowableBuffer(
      viewing: storage == .float32
        ? try file.buffer("\(prefix).rows", of: Float.self, rows: count, columns: coordinates).reinterpreted()
        : try file.buffer("\(prefix).rows", rows: count, columns: rowBytes))
    isCentered = count > 0
    // Clearing the index writes to it.
    center = try Buffer(count: coordinates, filledWith: 0)
    if storage == .int8 {
      scales = GrowableBuffer(viewing: try file.buffer("\(prefix).scales", rows: count))
      lengths = GrowableBuffer(viewing: try file.buffer("\(prefix).lengths", rows: count))
      center.base.update(from: try file.buffer("\(prefix).center", rows: coordinates).base, count: coordinates)
    } else {
      (scales, lengths) = (try GrowableBuffer(), try GrowableBuffer())
    }
    try check(file, prefix, context)
  }

  /// Throws unless all numbers could have been added.
  private func check(_ file: StoredFile, _ prefix: String, _ context: CallContext) throws(CoverTreeError) {
    let limit = VectorTable.coordinateLimit
    func isUsable(_ numbers: UnsafeBufferPointer<Float>, _ most: Float) -> Bool {
      numbers.allSatisfy { $0.magnitude <= most }
    }
    guard storage != .int8 else {
      guard isUsable(scales.elements, limit), isUsable(center.elements, limit),
        isUsable(lengths.elements, .greatestFiniteMagnitude)
      else { throw file.corrupt("section \"\(prefix)\" has numbers that no vector has") }
      return
    }
    try context.forEach(count, grain: 1024) { (range, _) throws(CoverTreeError) in
      let (first, bytes) = (range.lowerBound * rowBytes, range.count * rowBytes)
      let raw = UnsafeRawPointer(self.bytes.base + first)
      let usable =
        storage == .float32
        ? isUsable(UnsafeBufferPointer(start: raw.assumingMemoryBound(to: Float.self), count: bytes / 4), limit)
        : UnsafeBufferPointer(start: raw.assumingMemoryBound(to: UInt16.self), count: bytes / 2)
          .allSatisfy { $0 & 0x7C00 != 0x7C00 }
      guard usable else { throw file.corrupt("section \"\(prefix).rows\" has numbers that no vector has") }
    }
  }

  /// Copies arrays of a file, before they are changed.
  func own() throws(CoverTreeError) {
    try bytes.own()
    try scales.own()
    try lengths.own()
  }

  /// Reserves memory for `more` rows, so that appending them cannot fail, and computes the center of the first ones.
  func reserve(_ more: Int, sample row: (Int) -> UnsafePointer<Float>) throws(CoverTreeError) {
    try bytes.reserve(more * rowBytes)
    guard storage == .int8 else { return }
    try scales.reserve(more)
    try lengths.reserve(more)
    guard !isCentered, more > 0 else { return }
    guard !products else {
      isCentered = true
      return
    }
    let step = max(1, more / Self.centerSample)
    let sums = try Buffer<Double>(count: dim, filledWith: 0)
    isCentered = true
    var sampled = 0.0
    for index in stride(from: 0, to: more, by: step) {
      let row = row(index)
      for d in 0..<dim { sums[d] += Double(row[d]) }
      sampled += 1
    }
    for d in 0..<dim {
      let mean = Float(sums[d] / sampled)
      guard mean.magnitude <= VectorTable.coordinateLimit else {
        isCentered = false
        throw .changing("vectors")
      }
      center[d] = mean
    }
  }

  /// Appends reserved rows, which are about to be set.
  func extend(by more: Int) {
    resize(to: count + more)
  }

  /// Sets a row. Several threads may set rows at once.
  func set(_ slot: Int, _ row: UnsafePointer<Float>) {
    let start = UnsafeMutableRawPointer(bytes.base + slot * rowBytes)
    switch storage {
    case .float32:
      let target = start.assumingMemoryBound(to: Float.self)
      target.update(from: row, count: dim)
      (target + dim).update(repeating: 0, count: coordinates - dim)
    case .float16:
      let target = start.assumingMemoryBound(to: UInt16.self)
      for d in 0..<dim { target[d] = cn_half(row[d]) }
      (target + dim).update(repeating: 0, count: coordinates - dim)
    case .int8:
      let target = start.assumingMemoryBound(to: UInt8.self)
      let code = cn_round_to_bytes(row, Int64(dim), center.base, Int64(coordinates), 0x80, target)
      scales[slot] = code.scale
      lengths[slot] = products ? 0 : code.scale * code.scale * Float(code.length)
    }
  }

  /// Rounds a vector less the center to signed integers.
  @inline(__always)
  func round(_ row: UnsafePointer<Float>, into codes: UnsafeMutablePointer<Int8>) -> cn_rounded {
    let bytes = UnsafeMutableRawPointer(codes).assumingMemoryBound(to: UInt8.self)
    return cn_round_to_bytes(row, Int64(dim), center.base, Int64(coordinates), 0, bytes)
  }

  /// Keeps the rows of some slots, in ascending order, and moves them together.
  func keep(_ slots: UnsafeBufferPointer<Int32>) {
    var next = 0
    for slot in slots {
      unpin(next..<Int(slot))
      next = Int(slot) + 1
    }
    unpin(next..<count)
    for (to, from) in slots.enumerated() where to != Int(from) { copy(from: self, Int(from), to: to) }
    resize(to: slots.count)
  }

  func truncate(to count: Int) {
    unpin(min(count, self.count)..<self.count)
    resize(to: count)
    guard count == 0 else { return }
    isCentered = false
    for d in 0..<center.count { center[d] = 0 }
  }

  /// The memory is there, so nothing can fail.
  private func resize(to count: Int) {
    try? bytes.resize(to: count * rowBytes)
    guard storage == .int8 else { return }
    try? scales.resize(to: count)
    try? lengths.resize(to: count)
  }

  private func copy(from other: VectorRows, _ from: Int, to: Int) {
    (bytes.base + to * rowBytes).update(from: other.bytes.base + from * rowBytes, count: rowBytes)
    guard storage == .int8 else { return }
    scales[to] = other.scales[from]
    lengths[to] = other.lengths[from]
  }

  /// The same rows in another order: row `slot` comes from `order[slot]`.
  func permuted(_ order: Buffer<Int32>) throws(CoverTreeError) -> VectorRows {
    let other = try sibling()
    try other.bytes.reserve(bytes.count)
    try other.scales.reserve(scales.count)
    try other.lengths.reserve(lengths.count)
    try retain()
    other.resize(to: count)
    for (to, from) in order.elements.enumerated() { other.copy(from: self, Int(from), to: to) }
    other.center.base.update(from: center.base, count: center.count)
    other.isCentered = isCentered
    return other
  }

  /// An empty set of rows of the same type.
  private func sibling() throws(CoverTreeError) -> VectorRows {
    guard let source else {
      return try VectorRows(storage, dim: dim, products: products, padded: coordinates * 4 % 64 == 0)
    }
    return try VectorRows(of: source, products: products, bytes: GrowableBuffer())
  }
}
