import CovertreeBase

extension VectorTable {
  /// The fewest vectors to judge whether bytes resolve neighbours, by the distances of some of them from their nearest neighbours.
  private static var fewestToJudge: Int { 64 }
  private static var sample: Int { 1024 }
  private static var probes: Int { 32 }
  /// The largest share of a squared distance from the nearest vector that rounding to bytes may hide, one standard deviation. A quarter
  /// of the vectors may be closer together than that.
  private static var hiddenShare: Double { 0.01 }

  /// Adds rows of bytes to rows of float32, to find candidates in them: this reads a quarter of the memory, and the processor multiplies
  /// four times as many numbers at once. Not if rounding would hide too much, as in few dimensions. This is decided once.
  func addBytesWhereTheyTell(context: CallContext) throws(CoverTreeError) {
    guard options.storage == .float32, !isJudged, count >= Self.fewestToJudge else { return }
    if try share(context) <= Self.hiddenShare { try addSmall(.int8, context: context) }
    isJudged = true
  }

  private func share(_ context: CallContext) throws(CoverTreeError) -> Double {
    guard let exact else { return .infinity }
    let sampled = min(count, Self.sample)
    let (rows, scratch) = (try Buffer<Float>(count: sampled * dim), try Buffer<Float>(count: exact.coordinates))
    for position in 0..<sampled {
      exact.decode(position * count / sampled, into: rows.base + position * dim, scratch: scratch.base)
    }
    let sample = PointsView(base: UnsafePointer(rows.base), count: sampled, dim: dim)
    let mean = try Buffer<Double>(count: dim, filledWith: 0)
    for position in 0..<sampled { for d in 0..<dim { mean[d] += Double(sample.row(position)[d]) / Double(sampled) } }
    // A coordinate has an error of up to half a unit either way, in both vectors of a pair.
    var unit = 0.0
    for position in 0..<sampled {
      let row = sample.row(position)
      unit += (0..<dim).reduce(0.0) { max($0, abs(Double(row[$1]) - mean[$1])) } / 127 / Double(sampled)
    }
    let probes = min(sampled, Self.probes)
    let nearest = try Buffer<Double>(count: probes, filledWith: .infinity)
    try context.forEach(probes, grain: 1) { (range, _) throws(CoverTreeError) in
      for probe in range {
        let own = probe * sampled / probes
        for other in 0..<sampled where other != own {
          let squared = squaredEuclidean(sample.row(own), sample.row(other), dim: dim)
          if squared > 0 { nearest[probe] = min(nearest[probe], squared) }
        }
      }
    }
    let distance = nearest.elements.sorted()[probes / 4].squareRoot()
    return 2 * (unit * (1.0 / 6).squareRoot()) / distance
  }
}
