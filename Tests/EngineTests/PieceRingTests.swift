import Samples
import Testing
import Wire

@testable import Engine

/// Pieces that come in any order, twice, never, and made up.
@Suite struct PieceRingTests {
  private static func moment(_ milliseconds: Int) -> Instant {
    Instant(nanoseconds: Int64(milliseconds) * 1_000_000)
  }

  /// A ring, what it counted, and what came out of it.
  private struct Bench: ~Copyable {
    var ring = PieceRing(at: moment(0))
    var counters = Counters()
    private var batch = DatagramBatch(datagrams: 1, arenaSize: Cut.totalLimit)
    private let packets = PacketBatch(capacity: 1, slotSize: 8)

    /// Gives the datagram where this was its last piece.
    mutating func take(
      _ header: FragmentHeader, flow: UInt16 = 1, _ bytes: [UInt8], at milliseconds: Int = 0
    ) -> [UInt8]? {
      guard
        let place = ring.take(
          header, flow: flow, bytes.rawSpan, at: moment(milliseconds), &counters)
      else { return nil }
      batch.removeAll()
      guard ring.deliver(place, flow: 7, destination: Endpoint(.any, 0), to: &batch) else {
        return nil
      }
      let piece = batch.bytes(of: batch.piece(0), packets: packets)
      return (0..<piece.byteCount).map { piece.byte(at: $0) }
    }

    /// Takes the piece of this datagram.
    mutating func take(
      _ whole: [UInt8], _ datagram: UInt32, piece: Int, of cut: Cut, at milliseconds: Int = 0
    ) -> [UInt8]? {
      take(
        FragmentHeader(datagram: datagram, index: piece, cut: cut),
        Array(whole[cut.range(of: piece)]), at: milliseconds)
    }
  }

  /// Random datagrams, cut at random, their pieces in random order within some datagrams, some of them
  /// twice, some never: what comes out is what went in, once, and all of whose pieces came.
  @Test(arguments: 1...20) func anyOrder(seed: UInt64) {
    var random = SplitMix64Samples(seed: seed)
    var bench = Bench()
    var (expected, delivered) = (0, 0)
    // The numbers wrap on the way.
    var number: UInt32 = FragmentHeader.datagramMask - 40
    for _ in 0..<40 {
      var wholes: [[UInt8]] = []
      var arrivals: [(datagram: Int, piece: Int, cut: Cut)] = []
      for index in 0..<5 {
        let total = Int.random(in: 2...20_000, using: &random)
        let limit = Int.random(in: max(1, total / 200)..<total, using: &random)
        guard let cut = Cut(total, intoAtMost: limit) else { preconditionFailure("a cut") }
        wholes.append(random.bytes(total))
        let isLost = Int.random(in: 0..<4, using: &random) == 0
        let lost = isLost ? Int.random(in: 0..<cut.count, using: &random) : nil
        if lost == nil { expected += 1 }
        for piece in 0..<cut.count where piece != lost {
          arrivals.append((index, piece, cut))
          if Int.random(in: 0..<10, using: &random) == 0 { arrivals.append((index, piece, cut)) }
        }
      }
      arrivals.shuffle(using: &random)
      for (index, piece, cut) in arrivals {
        let datagram = (number &+ UInt32(index)) & FragmentHeader.datagramMask
        if let whole = bench.take(wholes[index], datagram, piece: piece, of: cut) {
          #expect(whole == wholes[index])
          delivered += 1
        }
      }
      number = (number &+ 5) & FragmentHeader.datagramMask
    }
    #expect(delivered == expected)
    #expect(bench.counters[.repeatedFrame] > 0)
    #expect(bench.counters[.badFragment] == 0)
  }

  @Test func differentCutsOfOneDatagramAreRefused() throws {
    var bench = Bench()
    let whole = [UInt8](repeating: 5, count: 100)
    let cut = try #require(Cut(size: 40, total: 100))
    #expect(bench.take(whole, 9, piece: 0, of: cut) == nil)
    // Another size, another total, another flow: each overlaps what came, or reaches beyond it.
    let others = [Cut(size: 39, total: 100), Cut(size: 40, total: 99), Cut(size: 50, total: 100)]
    for other in others.compactMap(\.self) {
      for piece in 0..<other.count { #expect(bench.take(whole, 9, piece: piece, of: other) == nil) }
    }
    let piece = FragmentHeader(datagram: 9, index: 1, cut: cut)
    #expect(bench.take(piece, flow: 2, [UInt8](repeating: 5, count: 40)) == nil)
    #expect(bench.counters[.badFragment] == 3 + 3 + 2 + 1)
    #expect(bench.take(whole, 9, piece: 1, of: cut) == nil)
    #expect(bench.take(whole, 9, piece: 2, of: cut) == whole)
    #expect(bench.take(whole, 9, piece: 2, of: cut) == nil, "once")
    #expect(bench.counters[.repeatedFrame] == 1)
  }

  @Test func twoSecondsAreEnough() throws {
    var bench = Bench()
    let whole = [UInt8](repeating: 5, count: 100)
    let cut = try #require(Cut(size: 50, total: 100))
    #expect(bench.take(whole, 1, piece: 0, of: cut, at: 0) == nil)
    #expect(bench.take(whole, 2, piece: 0, of: cut, at: 1) == nil)
    #expect(bench.ring.deadline == Self.moment(2000))
    #expect(bench.take(whole, 1, piece: 1, of: cut, at: 1999) == whole)
    #expect(bench.take(whole, 2, piece: 1, of: cut, at: 2001) == nil, "the first piece is gone")
    #expect(bench.counters[.incompleteDatagram] == 1)
    #expect(bench.ring.incompleteCount == 1)
    bench.ring.expire(at: Self.moment(4001), &bench.counters)
    #expect(bench.counters[.incompleteDatagram] == 2)
    #expect(bench.ring.deadline == nil)
  }

  /// Whatever comes, the ring's memory is all there is: the oldest makes room, and what is whole comes
  /// out as it went in.
  @Test func oldestMakesRoom() throws {
    var bench = Bench()
    let cut = try #require(Cut(Cut.totalLimit, intoAtMost: 40_000))
    let fitting = PieceRing.byteCount / cut.total
    var wholes: [[UInt8]] = []
    for datagram in 0..<fitting * 3 {
      wholes.append([UInt8](repeating: UInt8(datagram), count: cut.total))
      #expect(bench.take(wholes[datagram], UInt32(datagram), piece: 0, of: cut) == nil)
      #expect(bench.ring.incompleteCount <= fitting)
    }
    #expect(bench.counters[.fragmentLimit] == UInt64(fitting * 2))
    for datagram in fitting * 2..<fitting * 3 {
      #expect(bench.take(wholes[datagram], UInt32(datagram), piece: 1, of: cut) == wholes[datagram])
    }
    // Small ones are bounded by their number.
    let small = try #require(Cut(size: 1, total: 2))
    for datagram in 0..<UInt32(2 * PieceRing.countLimit) {
      _ = bench.take([1, 2], 1000 + datagram, piece: 0, of: small)
    }
    #expect(bench.ring.incompleteCount == PieceRing.countLimit)
    #expect(bench.counters[.fragmentLimit] == UInt64(fitting * 2 + PieceRing.countLimit))
  }

  /// Sizes that leave gaps at the end of the memory, pieces that are lost: nothing overlaps.
  @Test(arguments: 1...5) func roundAndRound(seed: UInt64) {
    var random = SplitMix64Samples(seed: seed)
    var bench = Bench()
    var waiting: [(datagram: UInt32, whole: [UInt8], cut: Cut)] = []
    var delivered = 0
    for datagram in 0..<2000 as Range<UInt32> {
      let total = Int.random(in: 2...65_507, using: &random)
      guard let cut = Cut(total, intoAtMost: (total + 1) / 2) else { preconditionFailure("a cut") }
      let whole = [UInt8](repeating: UInt8(truncatingIfNeeded: datagram), count: total)
      #expect(bench.take(whole, datagram, piece: 0, of: cut) == nil)
      waiting.append((datagram, whole, cut))
      if waiting.count > 8 {
        let (datagram, whole, cut) = waiting.remove(at: Int.random(in: 0..<8, using: &random))
        if Int.random(in: 0..<5, using: &random) == 0 { continue }
        if let result = bench.take(whole, datagram, piece: 1, of: cut) {
          #expect(result == whole)
          delivered += 1
        }
      }
    }
    #expect(delivered > 1500)
    #expect(bench.counters[.badFragment] == 0)
  }

  /// Of sessions, the one that was quiet longest makes room; one that ends leaves nothing.
  @Test func sessionsAreBounded() throws {
    var reassembly = Reassembly(limit: 3)
    var counters = Counters()
    let cut = try #require(Cut(size: 2, total: 4))
    let piece = [UInt8](repeating: 1, count: 2)
    func take(_ index: Int, session: Int, at milliseconds: Int) -> Bool {
      reassembly.take(
        FragmentHeader(datagram: 1, index: index, cut: cut), flow: 1, piece.rawSpan,
        session: session, at: Self.moment(milliseconds), &counters) != nil
    }
    for session in 0..<3 { #expect(take(0, session: session, at: session) == false) }
    #expect(reassembly.incompleteCount == 3)
    #expect(take(0, session: 3, at: 5) == false)
    #expect(reassembly.incompleteCount == 3)
    #expect(counters[.fragmentLimit] == 1)
    #expect(take(1, session: 1, at: 6) == true)
    #expect(take(1, session: 0, at: 7) == false, "its first piece made room")
    reassembly.remove(session: 3)
    #expect(reassembly.expire(at: Self.moment(1999), &counters) == Self.moment(2001))
    #expect(reassembly.expire(at: Self.moment(2007), &counters) == nil)
    #expect(reassembly.incompleteCount == 0)
    #expect(counters[.incompleteDatagram] == 1)
  }
}
