import Glibc
import Testing

@testable import Covertree
@testable import CovertreeBase
@testable import CovertreeFiles

@Suite struct FileTests {
  private func crc(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { Checksum.crc($0) } }

  @Test func theChecksumIsTheKnownOne() {
    #expect(crc(Array("123456789".utf8)) == 0xE306_9283)
    #expect(crc([]) == 0)
    #expect(crc([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
  }

  @Test func aChecksumGoesOnFromAnother() {
    let bytes = (0..<100).map { UInt8($0) }
    bytes.withUnsafeBytes { all in
      let first = Checksum.crc(UnsafeRawBufferPointer(rebasing: all[..<37]))
      #expect(Checksum.crc(UnsafeRawBufferPointer(rebasing: all[37...]), after: first) == Checksum.crc(all))
    }
  }

  @Test func theSumOfASectionDoesNotDependOnThreads() throws {
    let bytes = try Buffer<UInt8>(count: 9 * Checksum.pieceBytes + 12345)
    for index in 0..<bytes.count { bytes[index] = UInt8(truncatingIfNeeded: index &* 2_654_435_761 >> 7) }
    let sums = try [1, 2, 7].map { threads in
      try Checksum.ofSection(UnsafeRawBufferPointer(bytes.elements), context: CallContext(threads: threads))
    }
    #expect(Set(sums).count == 1)
    bytes[5 * Checksum.pieceBytes] ^= 1
    #expect(try Checksum.ofSection(UnsafeRawBufferPointer(bytes.elements), context: CallContext()) != sums[0])
  }

  @Test func aHashOfPointsIsTheSumOfItsParts() throws {
    var generator = SeededGenerator(seed: 1)
    let numbers = (0..<90_000).map { _ in Double.random(in: -1...1, using: &generator) }
    try numbers.withUnsafeBufferPointer { base in
      let all = PointsView(base: base.baseAddress!, count: 30_000, dim: 3)
      let whole = try all.hash(context: CallContext())
      let first = try PointsView(base: base.baseAddress!, count: 7000, dim: 3).hash(context: CallContext(threads: 1))
      let rest = try PointsView(base: base.baseAddress! + 21000, count: 23_000, dim: 3)
        .hash(context: CallContext()) { $0 + 7000 }
      #expect(first &+ rest == whole)
    }
  }

  @Test func namesAreChecked() throws {
    let number = try Buffer<Int32>(count: 1, filledWith: 7)
    let image = FileImage(kind: .arrays, inputHash: 0, sections: [Section("one", number)])
    for name in ["", "one", "with space", "ä", String(repeating: "x", count: 25)] {
      #expect(throws: CoverTreeError.self) { try image.adding([Section(name, number)]) }
    }
    let more = [Section(String(repeating: "x", count: 24), number)]
    let file = try StoredFile(image.adding(more), context: CallContext())
    #expect(file.sections.map(\.name) == ["one", String(repeating: "x", count: 24)])
    #expect(try file.buffer("one", of: Int32.self)[0] == 7)
    #expect(throws: CoverTreeError.self) { try file.buffer("one", of: Double.self) }
    #expect(throws: CoverTreeError.self) { try file.buffer("two", of: Int32.self) }
  }

  /// On one level and on two, before and after the first search.
  @Test(arguments: [512, 4], [false, true])
  func aModelComesBackWithItsLowRankBlocks(mostBlocks: Int, isSearched: Bool) throws {
    let context = CallContext()
    var generator = SeededGenerator(seed: 8)
    let points = (0..<6000).map { _ in Double.random(in: -2...2, using: &generator) }
    let search = try points.withUnsafeBufferPointer { base in
      let view = PointsView(base: base.baseAddress!, count: 3000, dim: 2)
      return try ResidualSearch(
        ResidualModel(
          view, covariance: .kernel(Kernel(shape: .rbf, variance: 2, lengthscale: [0.8])),
          source: .inducing(PointsView(base: base.baseAddress!, count: 30, dim: 2), jitter: 1e-6), blockSize: 256,
          context: context), since: 0, sizes: ResidualSearch.Sizes(blocks: mostBlocks), context: context)
    }
    let unasked = try copy(of: search)
    let wanted = try neighbors(search)
    let again = try isSearched ? copy(of: search) : unasked
    let lowRankBlocks = try #require(again.lowRankBlocks)
    #expect(lowRankBlocks.blocksPerRegion == (mostBlocks == 4 ? 2 : 1))
    #expect((lowRankBlocks.knownRegions != nil) == isSearched)
    #expect(try neighbors(again) == wanted)
    #expect(again.info.statistics.blocksEstimated > 0)
  }

  private func copy(of search: ResidualSearch) throws -> ResidualSearch {
    let file = try StoredFile(search.image(context: CallContext()), context: CallContext())
    return try ResidualSearch.opened(file, callback: nil, context: CallContext())
  }

  private func neighbors(_ search: ResidualSearch) throws -> [Int64] {
    let indices = try Buffer<Int64>(count: search.model.count * 6)
    try search.nearest(
      .allStored, k: 6, options: SearchOptions(), context: CallContext(), rows: search.model.count,
      indices: indices.base, distances: nil)
    return Array(indices.elements)
  }
}
