// Pieces of datagrams: made up ones, and those of a sender that come in any order, twice, late or never.

import Samples
import Wire

@testable import Engine

extension FuzzTarget {
  static let fragment = FuzzTarget(name: "fragment") { input in
    if let header = FragmentHeader(parsing: input) {
      require(header.encoded == input.be64(at: 0), "a header is what its bytes say")
      let piece = header.cut.range(of: header.index)
      require(piece.count == input.byteCount - 8 && piece.upperBound <= header.cut.total, "it fits")
    }
    var script = Script(input)
    var pieces = Pieces()
    while !script.isAtEnd { pieces.step(&script) }
  } seeds: {
    [
      "protocol": bytes(hex: "0a 0b 0c 01 00 03 00 05  6c 6f"),
      // Two datagrams, their pieces in order, then crossed and twice.
      "order": [0, 100, 40, 1, 0, 0, 1, 0, 1, 1, 0, 2],
      "crossed": [0, 100, 40, 0, 100, 60, 1, 1, 1, 1, 0, 2, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1],
      "late": [0, 100, 40, 1, 0, 0, 2, 255, 2, 255, 1, 0, 1],
      "many": [0, 0xF0, 0xFF, 0xE3, 0xF0, 0x40, 0]
        + (0..<30).flatMap { _ in [3, 1, 0, 0] as [UInt8] },
      "made-up": [4, 0, 0, 0, 0, 1, 0, 3, 5, 4, 0, 0, 0, 1, 1, 0, 2, 5, 4, 0, 0, 0, 1, 0, 3, 0, 5],
    ]
  }
}

/// One session's pieces, and what may come out.
private struct Pieces: ~Copyable {
  private var ring = PieceRing(at: Instant(nanoseconds: 0))
  private var counters = Counters()
  private var batch = DatagramBatch(datagrams: 1, arenaSize: Cut.totalLimit)
  private let packets = PacketBatch(capacity: 1, slotSize: 8)
  private var now = Instant(nanoseconds: 0)
  private var sent: [(number: UInt32, bytes: [UInt8], cut: Cut)] = []
  private var number = FragmentHeader.datagramMask - 2

  mutating func step(_ script: inout Script) {
    switch script.byte() & 7 {
    case 0: cut(script.size(), limit: script.size())
    case 1: arrive(script.choice(of: sent.count), script.choice(of: 256))
    case 2: now = now + .milliseconds(Int(script.byte()) * 10)
    case 3: if let last = sent.last { cut(last.bytes.count, limit: last.cut.size) }
    default: makeUp(&script)
    }
    require(ring.incompleteCount <= PieceRing.countLimit, "what waits is bounded")
  }

  private mutating func cut(_ total: Int, limit: Int) {
    guard let cut = Cut(total, intoAtMost: limit) else { return }
    let bytes = (0..<total).map { UInt8(truncatingIfNeeded: $0 &+ sent.count) }
    number = (number + 1) & FragmentHeader.datagramMask
    sent.append((number, bytes, cut))
  }

  private mutating func arrive(_ index: Int, _ piece: Int) {
    guard sent.indices.contains(index) else { return }
    let (number, bytes, cut) = sent[index]
    let header = FragmentHeader(datagram: number, index: piece % cut.count, cut: cut)
    guard let whole = take(header, Array(bytes[cut.range(of: header.index)])) else { return }
    require(whole == bytes, "what was cut comes out")
  }

  /// Another flow, so that it is never taken for a piece of what was sent.
  private mutating func makeUp(_ script: inout Script) {
    let (number, index) = (UInt32(script.byte()), Int(script.byte()))
    guard let cut = Cut(size: Int(script.word()), total: Int(script.size())), index < cut.count
    else { return }
    let piece = [UInt8](repeating: 0xEE, count: cut.range(of: index).count)
    let header = FragmentHeader(datagram: number, index: index, cut: cut)
    guard let whole = take(header, piece, flow: 2) else { return }
    require(whole.count == cut.total && whole.allSatisfy { $0 == 0xEE }, "nothing else comes out")
  }

  private mutating func take(
    _ header: FragmentHeader, _ piece: [UInt8], flow: UInt16 = 1
  ) -> [UInt8]? {
    guard let place = ring.take(header, flow: flow, piece.rawSpan, at: now, &counters) else {
      return nil
    }
    batch.removeAll()
    require(
      ring.deliver(place, flow: 1, destination: Endpoint(.any, 0), to: &batch), "there is room")
    let bytes = batch.bytes(of: batch.piece(0), packets: packets)
    return (0..<bytes.byteCount).map { bytes.byte(at: $0) }
  }
}
