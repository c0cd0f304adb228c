import CCovertree
import Covertree

// Orders and samples of points.

@_cdecl("covertree_maxmin_order") @implementation
public func covertree_maxmin_order(
  _ points: UnsafePointer<Double>?, _ n_points: Int64, _ dim: Int64, _ row_stride: Int64,
  _ options: UnsafePointer<covertree_call_options>?, _ order: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    try maxMinOrder(
      Arguments.view(points, n_points, dim, row_stride, "points", 1), context: callContext(options),
      order: Arguments.output(order, named: "order"))
  }
}

@_cdecl("covertree_spread_sample") @implementation
public func covertree_spread_sample(
  _ points: UnsafePointer<Double>?, _ n_points: Int64, _ dim: Int64, _ row_stride: Int64, _ n_sample: Int64,
  _ seed: UInt64, _ options: UnsafePointer<covertree_call_options>?, _ sample: UnsafeMutablePointer<Int64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let view = try Arguments.view(points, n_points, dim, row_stride, "points", 1)
    guard n_sample >= 1, n_sample <= n_points else {
      throw CoverTreeError(.invalidArgument, "n_sample: expected 1 to \(n_points), got \(n_sample)")
    }
    let output = try Arguments.output(sample, named: "sample")
    try kMeansPlusPlusSample(
      view, seed: seed, context: callContext(options),
      sample: UnsafeMutableBufferPointer(start: output, count: Int(n_sample)))
  }
}
