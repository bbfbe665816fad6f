import Samples
import Testing
import Wire

@testable import LinkModel

@Suite struct PacketTests {
  private func parse(_ frame: [UInt8]) -> Packet? { Packet(frame: frame.span.octets) }

  @Test func udpOfBothFamilies() throws {
    let v4 = try #require(parse(Frames.udp(.down) + [0, 0]))
    #expect(v4.transport == .udp && v4.byteCount == 1400, "padding does not count")
    #expect(v4.sourcePort == 10_001 && v4.destinationPort == 4000)
    let header = Frames.ports(.up, 4000, 10_001) + [0, 8, 0, 0]
    let v6 = try #require(parse(Frames.ipv6(.up, 17, header)))
    #expect(v6.transport == .udp && v6.byteCount == 48 && v6.sourcePort == 4000)
    #expect(v6.source == Address(high: 0xFD77_0000_0000_0000, low: 1))
  }

  @Test func extensionHeadersAreSteppedOver() throws {
    let header = Frames.ports(.up, 4000, 10_001) + [0, 8, 0, 0]
    let options: [UInt8] = [44, 0, 1, 4, 0, 0, 0, 0]
    let first: [UInt8] = [17, 0, 0, 1, 0, 0, 0, 9]
    let later: [UInt8] = [17, 0, 0, 8, 0, 0, 0, 9]
    let packet = try #require(parse(Frames.ipv6(.up, 60, options + first + header)))
    #expect(packet.transport == .udp && packet.destinationPort == 10_001)
    let fragment = try #require(parse(Frames.ipv6(.up, 60, options + later + header)))
    #expect(fragment.transport == .udp && fragment.destinationPort == 0)
  }

  @Test func laterFragmentsHaveNoPorts() throws {
    let header = Frames.ports(.up, 4000, 10_001) + [0, 8, 0, 0]
    let packet = try #require(parse(Frames.ipv4(.up, 17, fragment: 0x2001, header)))
    #expect(packet.transport == .udp && packet.sourcePort == 0)
  }

  @Test func tcpStandsBehindItsLastByte() throws {
    let segment = Frames.tcpSegment(
      .up, sequence: 0xFFFF_FFF0, acknowledgment: 5, flags: [.fin, .ack], payloadCount: 20)
    let packet = try #require(parse(Frames.ipv4(.up, 6, segment)))
    #expect(packet.mark == SegmentMark(end: 5, acknowledgment: 5, window: 0x1000))
  }

  @Test func neighboursAreTheWiresOwn() {
    #expect(parse(Frames.ethernet(.up, type: 0x0806, [UInt8](repeating: 0, count: 28))) == nil)
    for type: UInt8 in [133, 135, 136, 143] {
      #expect(parse(Frames.ipv6(.up, 58, [type, 0, 0, 0])) == nil)
    }
    #expect(parse(Frames.ipv6(.up, 58, [128, 0, 0, 0]))?.transport == .icmp)
  }

  @Test func nothingTrapsOnWhatIsCutOffOrSpoilt() {
    var random = SplitMix64(seed: 1)
    let models = [
      Frames.udp(.up), Frames.ipv4(.up, 6, Frames.tcpSegment(.up)),
      Frames.ipv6(.up, 0, [6, 0, 0, 0, 0, 0, 0, 0] + Frames.tcpSegment(.up)),
    ]
    var parsed = 0
    for model in models {
      for count in 0...model.count where parse(Array(model.prefix(count))) != nil { parsed += 1 }
      for _ in 0..<20_000 {
        var frame = model
        for _ in 0..<4 { frame[Int(random.next() % 60) % frame.count] = random.bytes(1)[0] }
        if parse(frame) != nil { parsed += 1 }
      }
    }
    #expect(parsed > 1000)
  }
}
