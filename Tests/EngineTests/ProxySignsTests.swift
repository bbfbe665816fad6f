import Testing
import Wire

@testable import Engine

@Suite struct ProxySignsTests {
  private static func moment(_ milliseconds: Int64) -> Instant {
    Instant(nanoseconds: milliseconds * 1_000_000)
  }

  /// Three within ten seconds of the first.
  @Test func signsFade() {
    var signs = ProxySigns()
    let found = [0, 9_000, 10_001, 15_000, 20_000].map { signs.note(at: Self.moment($0)) }
    #expect(found == [false, false, false, false, true])
    var quick = ProxySigns()
    let others = (0..<6).map { quick.note(at: Self.moment($0)) }
    #expect(others == [false, false, true, false, false, true])
  }

  /// A number that comes again counts for itself only.
  @Test func repeatedAcknowledgments() {
    var signs = ProxySigns()
    let pairs = (0..<100).map { signs.noteRepeated(acknowledgment: UInt32($0 / 2)) }
    #expect(pairs.allSatisfy { !$0 })
    let triple = (0..<3).map { _ in signs.noteRepeated(acknowledgment: .max) }
    #expect(triple == [false, false, true])
    let zeros = (0..<3).map { _ in signs.noteRepeated(acknowledgment: 0) }
    #expect(zeros == [false, false, true])
  }

  /// What came before the last report but one, and they a round trip apart, is old, across the wrap too; what
  /// is too far back for numbers to be known is not.
  @Test(arguments: [1_000_000, 100, UInt32.max - 100] as [UInt32]) func repeats(_ end: UInt32) {
    var signs = ProxySigns()
    let roundTrip = Duration.milliseconds(1300)
    func sendsAgain(upTo end: UInt32, next: UInt32, at time: Int64) -> Bool {
      var three = signs
      return (0..<3).map { _ in three.noteRepeated(upTo: end, next: next, at: Self.moment(time)) }
        .last!
    }
    signs.noteReport(received: end, roundTrip: roundTrip, at: Self.moment(0))
    #expect(!sendsAgain(upTo: end, next: end, at: 100))
    signs.noteReport(received: end &+ 500, roundTrip: roundTrip, at: Self.moment(1299))
    #expect(!sendsAgain(upTo: end, next: end, at: 1299))
    signs.noteReport(received: end &+ 500, roundTrip: roundTrip, at: Self.moment(1300))
    #expect(sendsAgain(upTo: end, next: end &+ 500, at: 1301))
    #expect(sendsAgain(upTo: end &- 200, next: end &+ 500, at: 1301))
    #expect(!sendsAgain(upTo: end &+ 1, next: end &+ 500, at: 1301))
    #expect(!sendsAgain(upTo: end, next: end &+ 20_000, at: 1301))
  }

  @Test func ports() {
    var ports = ProxiedPorts()
    ports.insert(443, at: Self.moment(0))
    ports.insert(80, at: Self.moment(500_000))
    #expect(ports.contains(443, at: Self.moment(599_999)))
    #expect(!ports.contains(443, at: Self.moment(600_000)))
    #expect(ports.contains(80, at: Self.moment(600_000)))
    #expect(!ports.contains(81, at: Self.moment(0)))
    for port in UInt16(1)...16 { ports.insert(port + 1000, at: Self.moment(600_000)) }
    #expect(!ports.contains(80, at: Self.moment(600_000)), "there is an end to them")
    #expect((UInt16(1001)...1016).allSatisfy { ports.contains($0, at: Self.moment(600_001)) })
  }

  /// Only where something is in flight.
  @Test func acknowledgmentsThatAreNoNews() {
    var connection = TCPConnection(
      sendNext: 1000, receiveNext: 77, peerWindow: 4 << 20, peerScale: 7, isSealed: false,
      identification: 1)
    let tuple = FourTuple(local: Endpoint(.any, 1), remote: Endpoint(.any, 2))
    #expect(!connection.isRepeated(1000))
    _ = connection.nextHeader(tuple, flags: .ack, payloadLength: 100)
    #expect(connection.isRepeated(1000))
    #expect(!connection.isRepeated(999) && !connection.isRepeated(1100))
  }
}
