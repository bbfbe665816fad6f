import Samples
import Testing
import Wire

@testable import Engine

/// Sequence numbers, above all where they wrap.
@Suite struct TCPConnectionTests {
  private static let tuple = FourTuple(
    local: Endpoint(.any, 1), remote: Endpoint(.any, 2))
  private static let starts: [UInt32] = [0, 1, 1000, 0x7FFF_FFF0, 0x8000_0000, 0xFFFF_FFF0, .max]

  private static func connection(_ start: UInt32, peerScale: UInt8? = 7) -> TCPConnection {
    TCPConnection(
      sendNext: start, receiveNext: start &+ 77, peerWindow: 4 << 20, peerScale: peerScale,
      isSealed: false, identification: 65_530)
  }

  /// A header as bytes, since a segment is a view.
  private static func bytes(
    sequence: UInt32, acknowledgment: UInt32, flags: TCPFlags = .ack, window: UInt16 = 32_768,
    payload: Int = 0
  ) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 20 + payload)
    bytes.withMutableRawSpan {
      TCPHeader(
        sourcePort: 2, destinationPort: 1, sequence: sequence, acknowledgment: acknowledgment,
        flags: flags, window: window
      ).emit(into: &$0, at: 0, checksum: 0)
    }
    return bytes
  }

  private static func isAcceptable(_ bytes: [UInt8], _ connection: TCPConnection) -> Bool? {
    guard let segment = TCPSegment(bytes.rawSpan) else { return nil }
    return connection.isAcceptable(segment.header, payloadLength: segment.payload.byteCount)
  }

  private static func acknowledge(_ bytes: [UInt8], _ connection: inout TCPConnection) -> Bool? {
    guard let segment = TCPSegment(bytes.rawSpan) else { return nil }
    return connection.acknowledge(segment.header)
  }

  @Test(arguments: starts) func window(_ start: UInt32) {
    let limit = TCPProfile.plainInFlightLimit
    let connection = Self.connection(start)
    let next = start &+ 77
    func judge(_ offset: Int, _ payload: Int = 0) -> Bool? {
      Self.isAcceptable(
        Self.bytes(
          sequence: next &+ UInt32(truncatingIfNeeded: offset), acknowledgment: start,
          payload: payload), connection)
    }
    #expect(judge(0) == true)
    #expect(judge(limit) == true)
    #expect(judge(limit + 1) == false)
    #expect(judge(limit - 10, 10) == true)
    #expect(judge(limit - 10, 11) == false)
    #expect(judge(-limit) == true)
    #expect(judge(-limit - 1) == false)
  }

  @Test(arguments: starts) func acknowledgments(_ start: UInt32) {
    var connection = Self.connection(start)
    _ = connection.nextHeader(Self.tuple, flags: .ack, payloadLength: 5000)
    func judge(_ acknowledgment: UInt32, _ flags: TCPFlags = .ack) -> Bool? {
      Self.isAcceptable(
        Self.bytes(sequence: start &+ 77, acknowledgment: acknowledgment, flags: flags), connection)
    }
    #expect(judge(start &+ 5000) == true)
    #expect(judge(start &+ 5001) == false)
    #expect(judge(start &+ 5000, []) == false)
    #expect(judge(start &+ 5000 &- UInt32(TCPProfile.window)) == true)
    #expect(judge(start &+ 4999 &- UInt32(TCPProfile.window)) == false)
  }

  @Test(arguments: starts) func sendRoom(_ start: UInt32) {
    var connection = Self.connection(start)
    let limit = TCPProfile.plainInFlightLimit - TCPProfile.controlReserve
    #expect(connection.sendRoom == limit)
    let (header, identification) = connection.nextHeader(
      Self.tuple, flags: .ack, payloadLength: 3000, segmentCount: 10)
    #expect(header.sequence == start && header.acknowledgment == start &+ 77)
    #expect(header.window == 32_768)
    #expect(identification == 65_530)
    #expect(connection.identification == 4)
    #expect(connection.sendRoom == limit - 3000)
    let ack = Self.bytes(sequence: start &+ 77, acknowledgment: start &+ 1000)
    #expect(Self.acknowledge(ack, &connection) == true)
    #expect(Self.acknowledge(ack, &connection) == false)
    #expect(connection.sendRoom == limit - 2000)
    let narrow = Self.bytes(sequence: start &+ 77, acknowledgment: start &+ 1000, window: 10)
    _ = Self.acknowledge(narrow, &connection)
    #expect(connection.sendRoom == 10 << 7 - 2000 - TCPProfile.controlReserve)
  }

  @Test(arguments: starts) func rewind(_ start: UInt32) {
    var connection = Self.connection(start)
    _ = connection.nextHeader(Self.tuple, flags: .ack, payloadLength: 3000)
    connection.rewind()
    #expect(connection.sendNext == start)
    _ = connection.nextHeader(Self.tuple, flags: .ack, payloadLength: 100)
    // Everything had arrived; only its acknowledgment was lost.
    let late = Self.bytes(sequence: start &+ 77, acknowledgment: start &+ 3000)
    #expect(Self.isAcceptable(late, connection) == true)
    #expect(Self.acknowledge(late, &connection) == true)
    #expect(connection.sendNext == start &+ 3000)
    #expect(connection.sendRoom == TCPProfile.plainInFlightLimit - TCPProfile.controlReserve)
  }

  @Test(arguments: starts) func receiving(_ start: UInt32) {
    var connection = Self.connection(start)
    let next = start &+ 77
    connection.received(upTo: next &+ 500)
    connection.received(upTo: next &+ 200)
    #expect(connection.unacknowledgedBytes == 500)
    let (header, _) = connection.nextHeader(Self.tuple, flags: .ack, payloadLength: 0)
    #expect(header.acknowledgment == next &+ 500)
    #expect(connection.unacknowledgedBytes == 0)
  }

  @Test func unscaledWindow() {
    var connection = Self.connection(5, peerScale: nil)
    let (header, _) = connection.nextHeader(Self.tuple, flags: .ack, payloadLength: 0)
    #expect(header.window == .max)
    _ = Self.acknowledge(
      Self.bytes(sequence: 82, acknowledgment: 5, window: 65_535), &connection)
    #expect(connection.sendRoom == 65_535 - TCPProfile.controlReserve)
    #expect(connection.acknowledgmentBytes < 65_535 / 2)
  }
}
