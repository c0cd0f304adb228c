import CCovertree
import Covertree
import CovertreeBase

// Orders and samples of points.

@_cdecl("covertree_maxmin_order") @implementation
public func covertree_maxmin_order(
  _ points: In<covertree_matrix>, _ options: In<covertree_call_options>, _ order: Out<Int64>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    try maxMinOrder(
      Arguments.view(points, "points", minimum: 1), context: callContext(options), order: required(order, "order"))
  }
}

@_cdecl("covertree_spread_sample") @implementation
public func covertree_spread_sample(
  _ points: In<covertree_matrix>, _ n_sample: Int64, _ seed: UInt64, _ options: In<covertree_call_options>,
  _ sample: Out<Int64>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let view: PointsView<Double> = try Arguments.view(points, "points", minimum: 1)
    guard n_sample >= 1, n_sample <= view.count else {
      throw CoverTreeError(.invalidArgument, "n_sample: expected 1 to \(view.count), got \(n_sample)")
    }
    let output = UnsafeMutableBufferPointer(start: try required(sample, "sample"), count: Int(n_sample))
    try kMeansPlusPlusSample(view, seed: seed, context: callContext(options), sample: output)
  }
}
