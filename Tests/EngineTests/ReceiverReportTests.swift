import Samples
import Testing
import Wire

@testable import Engine

@Suite struct ReceiverReportTests {
  /// The example of docs/protocol.md.
  private static let report = ReceiverReport(
    tally: FrameTally(frames: 1000, bytes: 1_408_000, largest: 1428), highest: 1023,
    isProxied: true)
  private static let bytes: [UInt8] = [
    0, 0, 0, 0, 0, 0, 3, 0xE8, 0, 0, 0, 0, 0, 0x15, 0x7C, 0, 0, 0, 0, 0, 0, 0, 5, 0x94, 0, 0, 3,
    0xFF, 0, 0, 0, 1,
  ]

  private static func array(_ report: ReceiverReport) -> [UInt8] {
    let words = report.words
    return (0..<ReceiverReport.byteCount).map { words.span.octets.byte(at: $0) }
  }

  @Test func golden() {
    #expect(Self.array(Self.report) == Self.bytes)
    #expect(ReceiverReport(parsing: Self.bytes.span.octets) == Self.report)
    // Later fields are ignored, fewer are none.
    #expect(ReceiverReport(parsing: (Self.bytes + [9]).span.octets) == Self.report)
    for length in 0..<Self.bytes.count {
      #expect(ReceiverReport(parsing: Array(Self.bytes[..<length]).span.octets) == nil)
    }
  }

  /// The largest frame is that since the last report.
  @Test func tally() {
    var reception = Reception()
    for size in [8, 1201, 65_535, 1200] { reception.tally.add(size) }
    #expect(reception.report() == FrameTally(frames: 4, bytes: 67_944, largest: 65_535))
    reception.tally.add(1000)
    #expect(reception.report() == FrameTally(frames: 5, bytes: 68_944, largest: 1000))
  }

  private static func delivery(sent count: Int) -> Delivery {
    var delivery = Delivery()
    for _ in 0..<count { delivery.sent.add(1400) }
    return delivery
  }

  private static func report(
    _ frames: UInt64, highest: UInt32, largest: UInt64 = 1400
  ) -> ReceiverReport {
    ReceiverReport(
      tally: FrameTally(frames: frames, bytes: frames &* 1400, largest: largest), highest: highest,
      isProxied: false)
  }

  @Test func confirms() {
    var delivery = Self.delivery(sent: 100)
    #expect(delivery.take(Self.report(45, highest: 49), next: 100, mask: 0xFF_FFFF) == true)
    #expect(delivery.lastInterval.sent == 50)
    #expect(delivery.lastInterval.arrived == 45)
    #expect(delivery.take(Self.report(45, highest: 49), next: 100, mask: 0xFF_FFFF) == false)
    #expect(delivery.take(Self.report(95, highest: 99), next: 100, mask: 0xFF_FFFF) == true)
    #expect(delivery.lastInterval.sent == 50)
    #expect(delivery.lastInterval.arrived == 50)
    #expect(delivery.lastInterval.bytes == 70_000)
    #expect(delivery.confirmed.frames == 95)
  }

  /// More than was sent, or less than before, changes nothing.
  @Test(arguments: [
    report(101, highest: 99), report(100, highest: 100), report(49, highest: 99),
    report(60, highest: 48), report(.max, highest: 99), report(0, highest: .max),
    report(60, highest: 99, largest: 1401), report(60, highest: 99, largest: .max),
  ])
  func hostile(_ report: ReceiverReport) {
    var delivery = Self.delivery(sent: 100)
    #expect(delivery.take(Self.report(50, highest: 49), next: 100, mask: 0xFF_FFFF) == true)
    let before = delivery.confirmed
    #expect(delivery.take(report, next: 100, mask: 0xFF_FFFF) == nil)
    #expect(delivery.confirmed == before)
    #expect(delivery.confirmedNext == 50)
    #expect(delivery.lastInterval.arrived == 50)
  }

  /// Whatever a report says, nothing traps, and nothing is confirmed that was not sent.
  @Test func random() {
    var random = SplitMix64Samples(seed: 3)
    var delivery = Self.delivery(sent: 1000)
    for _ in 0..<100_000 {
      let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) & 0x83 }
      guard let report = ReceiverReport(parsing: bytes.span.octets) else { continue }
      _ = delivery.take(report, next: random.next() & 0x3FF, mask: 0xFF_FFFF)
      #expect(delivery.confirmed.isWithin(delivery.sent))
    }
  }

  /// Numbers wrap on the wire, not in the account.
  @Test(arguments: [UInt64(0xFF_FFFF), 0xFFFF_FFFF]) func wrap(_ mask: UInt64) {
    var delivery = Self.delivery(sent: 10)
    let next = 3 * (mask + 1) + 5
    let before = UInt32(truncatingIfNeeded: (next - 10) & mask)
    #expect(delivery.take(Self.report(1, highest: before), next: next, mask: mask) == true)
    #expect(delivery.confirmedNext == next - 9)
    #expect(delivery.take(Self.report(10, highest: 4), next: next, mask: mask) == true)
    #expect(delivery.confirmedNext == next)
    #expect(delivery.lastInterval.sent == 9)
  }
}
