import Samples
import Testing

@testable import Engine

/// How frames share segments, and segments a run.
@Suite struct OpenRunTests {
  private static func run(limit: Int = 64, room: Int = 60_000) -> OpenRun {
    OpenRun(channel: 0, flow: 0, room: room, limit: limit, segmentLimit: 1460)
  }

  /// Adds frames while they fit; gives how many did.
  private static func fill(_ run: inout OpenRun, _ sizes: [Int]) -> Int {
    for (index, size) in sizes.enumerated() {
      guard run.accepts(size) else { return index }
      run.add(size)
    }
    return sizes.count
  }

  @Test(
    arguments: [
      // frames, how many are taken, segment size, segments
      ([1460, 1460, 1460], 3, 1460, 3),
      ([72, 72, 72], 3, 216, 1),
      ([700, 700, 700, 700], 4, 1400, 2),
      // 20 to a segment, and a shorter one at the end.
      ([Int](repeating: 72, count: 64), 64, 1440, 4),
      // A shorter one is the last, until it is as large as the others.
      ([1408, 100, 1408], 2, 1408, 2),
      ([1000, 500, 500, 1000], 4, 1000, 3),
      ([1000, 100, 1000], 3, 1100, 2),
      // What is larger than the first begins another run.
      ([800, 1300], 1, 800, 1),
      ([1460, 1], 2, 1460, 2),
      ([8], 1, 8, 1),
    ] as [([Int], Int, Int, Int)])
  func sharing(_ sizes: [Int], _ taken: Int, _ segmentSize: Int, _ segments: Int) {
    var run = Self.run()
    #expect(Self.fill(&run, sizes) == taken)
    #expect(run.segmentSize == segmentSize)
    #expect(run.count == segments)
    #expect(run.total == sizes.prefix(taken).reduce(0, +))
  }

  @Test func singlesAreBundlesToo() {
    var run = Self.run(limit: 1)
    #expect(Self.fill(&run, [Int](repeating: 208, count: 64)) == 7, "7 * 208 = 1456")
    #expect(run.count == 1)
  }

  @Test func windowIsKept() {
    var run = Self.run(room: 500)
    #expect(Self.fill(&run, [Int](repeating: 72, count: 64)) == 6)
  }

  /// Whatever the sizes: segments are of one size but the last, none is larger than the channel's, none
  /// cuts a frame, and the run has room for all.
  @Test(arguments: 1...50) func random(seed: UInt64) {
    var random = SplitMix64Samples(seed: seed)
    let largest = Int.random(in: 8...1460, using: &random)
    let sizes = (0..<500).map { _ in Int.random(in: 8...largest, using: &random) }
    var rest = sizes[...]
    var runs = 0
    while !rest.isEmpty {
      var run = Self.run()
      let taken = Self.fill(&run, Array(rest))
      #expect(taken > 0)
      #expect(run.total <= 60_000 && run.count <= 64)
      #expect(run.segmentSize <= 1460)
      // Cut at the segment size, as the kernel does: each cut is between two frames.
      var ends: Set<Int> = []
      var end = 0
      for size in rest.prefix(taken) {
        end += size
        ends.insert(end)
      }
      for segment in 1..<max(run.count, 1) { #expect(ends.contains(segment * run.segmentSize)) }
      #expect(run.total > (run.count - 1) * run.segmentSize)
      #expect(run.total <= run.count * run.segmentSize)
      rest = rest.dropFirst(taken)
      runs += 1
    }
    #expect(runs < sizes.count)
  }
}
