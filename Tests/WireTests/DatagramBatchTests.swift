import Samples
import Testing
import Wire

private let app = Endpoint(IPAddress(ipv4: 0x0A00_0001), 9999)

extension DatagramBatch {
  /// Appends datagrams of these lengths, one behind the other in memory; false as soon as one is
  /// refused.
  fileprivate mutating func append(_ lengths: [Int], flow: Int = 1) -> Bool {
    var offset = 0
    for length in lengths {
      guard append(flow: flow, destination: app, payload: offset..<offset + length) else {
        return false
      }
      offset += length
    }
    return true
  }

  /// The lengths of the datagrams of each run.
  fileprivate borrowing func runs() -> [[Int]] {
    (0..<count).map { run in self[run].pieces.map { piece($0).length } }
  }
}

@Suite struct DatagramBatchTests {
  @Test(
    arguments: [
      ([], []), ([100], [[100]]), ([100, 100, 100], [[100, 100, 100]]),
      ([100, 100, 40], [[100, 100, 40]]), ([100, 40, 40], [[100, 40], [40]]),
      ([100, 40, 100], [[100, 40], [100]]), ([40, 100], [[40], [100]]),
      ([0, 0], [[0], [0]]), ([100, 0, 100], [[100], [0], [100]]), ([0, 100], [[0], [100]]),
    ] as [([Int], [[Int]])])
  func shorterClosesAndEmptyStandsAlone(lengths: [Int], runs: [[Int]]) {
    var batch = DatagramBatch(datagrams: 8)
    #expect(batch.append(lengths) == true)
    #expect(batch.runs() == runs)
  }

  @Test func flowsAreNeverMixed() {
    var batch = DatagramBatch(datagrams: 8)
    for flow in [1, 1, 2, 1] {
      #expect(batch.append(flow: flow, destination: app, payload: 0..<50) == true)
    }
    #expect(batch.runs() == [[50, 50], [50], [50]])
    #expect((0..<3).map { batch[$0].flow } == [1, 2, 1])
    #expect(batch[0].destination == app)
    #expect(batch[0].segmentSize == 50)
  }

  @Test func runEndsAt64Datagrams() {
    var batch = DatagramBatch(datagrams: 200)
    #expect(batch.append([Int](repeating: 10, count: 130)) == true)
    #expect(batch.runs().map(\.count) == [64, 64, 2])
  }

  @Test func runEndsAt65507Bytes() {
    var batch = DatagramBatch(datagrams: 200)
    #expect(batch.append([Int](repeating: 1400, count: 60)) == true)
    #expect(batch.runs().map(\.count) == [46, 14])  // 46 * 1400 = 64400, 47 * 1400 = 65800
    batch.removeAll()
    #expect(batch.append([32_754, 32_753]) == true)
    #expect(batch.runs().map(\.count) == [2], "65507 bytes just fit")
    batch.removeAll()
    #expect(batch.append([32_754, 32_754]) == true)
    #expect(batch.runs().map(\.count) == [1, 1])
  }

  @Test func piecesPointIntoThePackets() {
    var batch = DatagramBatch(datagrams: 4)
    #expect(batch.append(flow: 1, destination: app, payload: 700..<800) == true)
    #expect(batch.append(flow: 1, destination: app, payload: 300..<400) == true)
    #expect(batch.piece(0).origin == .packets)
    #expect(batch.piece(0).offset == 700)
    #expect(batch.piece(1).offset == 300)
  }

  @Test func copiesLieInTheArenaAndJoinTheRun() {
    let packets = PacketBatch(capacity: 1, slotSize: 8)
    var batch = DatagramBatch(datagrams: 4, arenaSize: 10)
    let (first, second) = (bytes(hex: "0102030405"), bytes(hex: "06070809"))
    #expect(batch.append(flow: 1, destination: app, copying: first.rawSpan) == true)
    #expect(batch.append(flow: 1, destination: app, copying: second.rawSpan) == true)
    #expect(batch.append(flow: 1, destination: app, copying: second.rawSpan) == false, "arena full")
    #expect(batch.runs() == [[5, 4]])
    #expect(
      (0..<2).map { array(batch.bytes(of: batch.piece($0), packets: packets)) } == [first, second])
    batch.removeAll()
    #expect(batch.append(flow: 1, destination: app, copying: second.rawSpan) == true)
    #expect(array(batch.bytes(of: batch.piece(0), packets: packets)) == second)
  }

  @Test func fullBatchRefusesAndEmptiedTakesAgain() {
    for capacity in 0...5 {
      var batch = DatagramBatch(datagrams: capacity)
      for _ in 0..<2 {
        #expect(batch.append([Int](repeating: 0, count: capacity)) == true)
        #expect(batch.append([9]) == false)
        #expect(batch.count == capacity)
        batch.removeAll()
        #expect(batch.count == 0)
      }
    }
  }
}
