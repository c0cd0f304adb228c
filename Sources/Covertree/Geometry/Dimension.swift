import CovertreeBase

/// The number of coordinates of a point: known to the compiler for the most common dimensions, so that loops over coordinates unroll, or
/// known at run time.
protocol Dimension: Sendable {
  var count: Int { get }
}

struct FixedDimension<let length: Int>: Dimension {
  @inline(__always) var count: Int { length }
}

struct RuntimeDimension: Dimension {
  let count: Int
}

/// Work that is compiled once for each common dimension.
protocol DimensionTask {
  associatedtype Result
  func run<D: MetricSpace>(_ dimension: D) throws(CoverTreeError) -> Result
}

/// Runs a task, with unrolled loops over coordinates if the dimension is a common one.
func specialized<Task: DimensionTask>(_ dim: Int, _ task: Task) throws(CoverTreeError) -> Task.Result {
  switch dim {
  case 2: try task.run(FixedDimension<2>())
  case 3: try task.run(FixedDimension<3>())
  case 4: try task.run(FixedDimension<4>())
  case 8: try task.run(FixedDimension<8>())
  default: try task.run(RuntimeDimension(count: dim))
  }
}
