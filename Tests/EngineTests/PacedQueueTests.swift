import Samples
import Testing
import Wire

@testable import Engine

/// Datagrams that wait: in order, whole, and no more than there is room for.
@Suite struct PacedQueueTests {
  private static let now = Instant(nanoseconds: 0)

  private static func append(to queue: inout PacedQueue, isKept: Bool) {
    let wasKept = queue.append([1].rawSpan, of: 0, 0)
    #expect(wasKept == isKept)
  }

  private static func bytes(_ range: Range<Int>, of memory: borrowing PacketBatch) -> [UInt8] {
    let span = memory.bytes(range)
    return (0..<span.byteCount).map { span.byte(at: $0) }
  }

  /// The memory is used round and round.
  @Test(arguments: 1...10) func anySizes(seed: UInt64) {
    var random = SplitMix64Samples(seed: seed)
    var queue = PacedQueue()
    var expected: [[UInt8]] = []
    for _ in 0..<20_000 {
      if Bool.random(using: &random) || expected.isEmpty {
        let size = Int.random(in: 0...(Bool.random(using: &random) ? 1500 : 65_507), using: &random)
        let bytes = [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: size)
        guard queue.append(bytes.rawSpan, of: 3, 7) else {
          #expect(queue.byteCount > PacedQueue.byteCount - 3 * 65_507)
          queue.removeFirst()
          expected.removeFirst()
          continue
        }
        expected.append(bytes)
      } else {
        guard let first = queue.first else {
          Issue.record("a datagram is missing")
          return
        }
        let bytes = Self.bytes(first.payload, of: queue.memory)
        #expect(bytes == expected[0])
        #expect(first.flow == 3 && first.id == 7)
        queue.removeFirst()
        expected.removeFirst()
      }
      #expect(queue.byteCount == expected.reduce(0) { $0 + $1.count })
    }
  }

  @Test func countLimit() {
    var queue = PacedQueue()
    for _ in 0..<PacedQueue.countLimit { Self.append(to: &queue, isKept: true) }
    Self.append(to: &queue, isKept: false)
    queue.removeFirst()
    Self.append(to: &queue, isKept: true)
  }
}
