import CovertreeBase

/// Rows of a matrix in the layout of the product's tiles: *panels* of two vectors' worth of rows, column by column inside a panel, so one
/// load gives one column of a vector of rows.
///
/// Element `(row, column)` is at `(row / panelRows * columns + column) * panelRows + row % panelRows`. Both sides of a product have this
/// layout: the right side is loaded by vectors, the left side by single elements.
struct PanelView<S: Scalar>: @unchecked Sendable {
  let base: UnsafeMutablePointer<S>
  let columns: Int

  /// Rows of one panel.
  @inline(__always) static var panelRows: Int { 2 &* S.width }

  /// The first column of a row; the next column is `panelRows` further.
  @inline(__always)
  func row(_ index: Int) -> UnsafeMutablePointer<S> {
    let width = Self.panelRows
    let panel = index / width
    return base + panel &* columns &* width + index % width
  }

  /// The panels from a row on, which is the first of a panel.
  @inline(__always)
  func from(row: Int) -> PanelView { PanelView(base: base + row &* columns, columns: columns) }

  /// Packs `count` rows, times a factor, and pads their last panel with zeros.
  ///
  /// Eight rows at a time, column by column: whole vectors are written, and the rows stay in the first-level cache.
  @inline(__always)
  func pack(_ count: Int, times factor: Double = 1, _ source: (Int) -> UnsafePointer<Double>) {
    let width = Self.panelRows
    for first in Swift.stride(from: 0, to: count, by: tileRows) {
      let inUse = min(tileRows, count &- first)
      let target = row(first)
      let rows = InlineArray<8, UnsafePointer<Double>> { source(first &+ min($0, inUse &- 1)) }
      for column in 0..<columns {
        var lanes = SIMD8<Double>(repeating: 0)
        for lane in 0..<tileRows { lanes[lane] = lane < inUse ? rows[lane][column] : 0 }
        S.store(lanes * factor, target + column &* width)
      }
    }
    for first in Swift.stride(from: (count &+ tileRows &- 1) / tileRows &* tileRows, to: roundedUp(count), by: tileRows)
    {
      let target = row(first)
      for column in 0..<columns { S.store(SIMD8(repeating: 0), target + column &* width) }
    }
  }

  /// `rows` rounded up to whole panels.
  @inline(__always)
  private func roundedUp(_ rows: Int) -> Int { (rows &+ Self.panelRows &- 1) / Self.panelRows &* Self.panelRows }
}

/// Panels with their memory.
final class Panels<S: Scalar>: @unchecked Sendable {
  var byteCount: Int { elements.byteCount }
  let elements: Buffer<S>
  let view: PanelView<S>

  /// - Parameter rows: rounded up to whole panels.
  init(rows: Int, columns: Int) throws(CoverTreeError) {
    let width = PanelView<S>.panelRows
    elements = try Buffer(count: (rows + width - 1) / width * width * columns)
    view = PanelView(base: elements.base, columns: columns)
  }

  /// Panels of known elements.
  init(_ elements: Buffer<S>, columns: Int) {
    self.elements = elements
    view = PanelView(base: elements.base, columns: columns)
  }
}
