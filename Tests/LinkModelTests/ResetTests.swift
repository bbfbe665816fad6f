import Testing
import Wire

@testable import LinkModel

@Suite struct ResetTests {
  /// A link on which a connection has moved: the client's data ends at 1101, the server's at 5001.
  private func usedLink() throws -> TestLink {
    let link = try TestLink("delay 40ms")
    for (sequence, count) in [(1001, 100), (901, 100)] {
      let segment = Frames.tcpSegment(
        .up, sequence: UInt32(sequence), acknowledgment: 4000, payloadCount: count)
      link.arrive(Frames.ipv4(.up, 6, segment), slot: sequence, .up, at: .zero)
    }
    let segment = Frames.tcpSegment(
      .down, sequence: 4001, acknowledgment: 900, payloadCount: 1000)
    link.arrive(Frames.ipv4(.down, 6, segment), slot: 1, .down, at: .zero)
    return link
  }

  @Test func bothEndsGetARightSegmentBehindTheLastData() throws {
    let link = try usedLink()
    let frames = link.takeResets()
    #expect(frames.map(\.direction) == [.up, .down])
    let expectations: [(sequence: UInt32, acknowledgment: UInt32, port: UInt16)] = [
      (1101, 4000, 10_001), (5001, 900, 4000),
    ]
    for (frame, expected) in zip(frames, expectations) {
      #expect(
        Array(frame.bytes.prefix(12))
          == Array(Frames.udp(frame.direction).prefix(12)))
      #expect(checksum(frame.bytes[14..<34]) == 0)
      #expect(checksum(frame.bytes[26...], plus: 6, 20) == 0)
      let packet = try #require(parse(frame.bytes))
      #expect(packet.transport == .tcp && packet.destinationPort == expected.port)
      #expect(packet.mark?.end == expected.sequence)
      #expect(packet.mark?.acknowledgment == expected.acknowledgment)
      #expect(frame.bytes[47] == 0x14, "RST, ACK")
    }
  }

  private func parse(_ frame: [UInt8]) -> Packet? { Packet(frame: frame.span.octets) }

  @Test func theyTravelBehindWhatIsOnItsWay() throws {
    let link = try usedLink()
    for frame in link.takeResets() { link.inject(frame, slot: 99, at: .milliseconds(1)) }
    #expect(link.leaveAll(.down).map(\.slot) == [1, 99])
    #expect(link.leaveAll(.up).map(\.slot) == [1001, 901, 99])
    #expect(link.counters(.up)[.resets] == 1 && link.counters(.up)[.sent] == 3)
  }

  @Test func onlyConnectionsThatMovedGetThem() throws {
    let link = try usedLink()
    link.arrive(Frames.udp(.up), .up, at: .zero)
    #expect(link.takeResets().count == 2)
    #expect(link.takeResets().isEmpty)
    link.arrive(Frames.ipv4(.up, 6, Frames.tcpSegment(.up)), .up, at: .zero)
    #expect(link.takeResets().count == 2)
  }

  @Test func theyComeAtTheirInterval() throws {
    let link = try usedLink()
    try link.apply("reset every 2s")
    #expect(link.takeDueResets(at: .milliseconds(1999)).isEmpty)
    #expect(link.takeDueResets(at: .seconds(2)).count == 2)
    #expect(link.takeDueResets(at: .seconds(2)).isEmpty)
    link.arrive(Frames.ipv4(.up, 6, Frames.tcpSegment(.up)), .up, at: .seconds(3))
    _ = link.leaveAll(.up)
    _ = link.leaveAll(.down)
    #expect(link.nextDeadline == .seconds(4))
    try link.apply("reset none", at: .seconds(3))
    #expect(link.nextDeadline > .seconds(1_000_000))
  }

  @Test func ipv6HasThemToo() throws {
    let link = try TestLink()
    for direction in Direction.allCases {
      let segment = Frames.tcpSegment(direction, sequence: 7, payloadCount: 3)
      #expect(link.arrive(Frames.ipv6(direction, 6, segment), direction, at: .zero))
    }
    let frames = link.takeResets()
    #expect(frames.count == 2)
    for frame in frames {
      let packet = try #require(parse(frame.bytes))
      #expect(packet.transport == .tcp && packet.byteCount == 60 && packet.mark?.end == 10)
      #expect(checksum(frame.bytes[22...], plus: 6, 20) == 0)
    }
  }
}
