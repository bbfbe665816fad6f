// The judge of captures, on hand-made packets.

import NamespaceSupport
import Testing
import Wire

@Suite struct CaptureJudgeTests {
  private let client = Endpoint(IPAddress(ipv4: 0x0A4D_0101), 40000)
  private let server = Endpoint(IPAddress(ipv4: 0x0A4D_0102), 443)

  @Test(arguments: AddressFamily.allCases)
  func seesEveryFlippedBitOfASegment(family: AddressFamily) throws {
    let payload = (0..<101).map { UInt8($0) }
    var segment = up(1000, count: payload.count)
    if family == .ipv6 {
      segment.source.address = IPAddress("fd77:1::1")!
      segment.destination.address = IPAddress("fd77:1::2")!
    }
    let good = Forgery.packet(segment, payload: payload)
    let whole = try #require(parse(good))
    #expect(whole.hasValidHeaderChecksum && whole.hasValidChecksum == true)
    #expect(whole.segment == segment)
    // No checksum covers what stands before IPv6's addresses.
    for bit in (family == .ipv4 ? 0 : 64)..<good.count * 8 {
      var bad = good
      bad[bit / 8] ^= 1 << (bit % 8)
      guard let packet = parse(bad) else { continue }
      #expect(!packet.hasValidHeaderChecksum || packet.hasValidChecksum != true, "bit \(bit)")
    }
  }

  @Test func countsWhatTheDeviceIsToCut() throws {
    let payload = [UInt8](repeating: 7, count: 4201)
    let packet = Forgery.packet(up(1000, count: payload.count), payload: payload)
    let cut = try #require(
      unsafe CapturedPacket(parsing: packet.span.bytes, needsChecksum: true, segmentSize: 1400))
    #expect(cut.segmentCount == 4 && cut.largestPacket == 1440)
    #expect(cut.hasValidChecksum == nil)
    #expect(try #require(parse(packet)).largestPacket == 4241)
  }

  @Test func marksWhatIsLargerThanTheMTU() {
    #expect(judge([(up(1001, count: 1460), 1460)]).tooLarge == 0)
    #expect(judge([(up(1001, count: 1461), 1461)]).tooLarge == 1)
  }

  @Test func marksDataBeyondTheUnscaledWindowOfTheSYNACK() {
    let within = judge(handshake(window: 1000) + [(up(1001, count: 1000), 1000)])
    #expect(within.outsideWindow == 0 && within.unjudged == 0, "\(within)")
    let beyond = judge(handshake(window: 1000) + [(up(1001, count: 1001), 1001)])
    #expect(beyond.outsideWindow == 1, "\(beyond)")
  }

  @Test func scalesTheWindowOnlyWhereBothAgreed() {
    let promise = CapturedSegment(
      from: server, to: client, sequence: 9001, acknowledgement: 1001, flags: .ack, window: 10)
    let far = (up(1001, count: 1280), 1280)
    #expect(judge(handshake(window: 1) + [(promise, 0), far]).outsideWindow == 0)
    #expect(judge(handshake(window: 1, scale: nil) + [(promise, 0), far]).outsideWindow == 1)
  }

  @Test func doesNotJudgeWithoutTheHandshake() {
    #expect(judge([(up(1001, count: 10), 10)]).unjudged == 1)
  }

  @Test func marksWhatIsNoTLSWhereAllIsSealed() {
    let records: [UInt8] = [0x16, 3, 1, 0, 2, 1, 2, 0x17, 3, 3, 0, 1, 9]
    #expect(withoutRecords(records) == 0)
    #expect(withoutRecords([]) == 0)
    #expect(withoutRecords(records.dropLast()) == 1, "the last one is cut")
    #expect(withoutRecords(records + [0x17]) == 1, "a header is cut")
    #expect(withoutRecords([0x15] + records.dropFirst()) == 1, "an alert")
    #expect(withoutRecords([0x17] + records.dropFirst()) == 1, "the version of another kind")
    #expect(withoutRecords([1, 2, 3], isSealed: false) == 0)
  }

  private func withoutRecords(_ payload: some Sequence<UInt8>, isSealed: Bool = true) -> Int {
    let payload = Array(payload)
    let bytes = Forgery.packet(up(1001, count: payload.count), payload: payload)
    var judge = CaptureJudge(isSealed: isSealed)
    if let packet = parse(bytes) { unsafe judge.observe(packet, bytes: bytes.span.bytes) }
    return judge.withoutRecords
  }

  private func up(_ sequence: UInt32, count: Int) -> CapturedSegment {
    CapturedSegment(
      from: client, to: server, sequence: sequence, acknowledgement: 9001, flags: .ack,
      window: 512, payloadCount: count)
  }

  private func handshake(window: UInt16, scale: UInt8? = 7) -> [(CapturedSegment, Int)] {
    let opening = CapturedSegment(
      from: client, to: server, sequence: 1000, acknowledgement: 0, flags: .syn, window: 64_240,
      windowScale: 7)
    let answer = CapturedSegment(
      from: server, to: client, sequence: 9000, acknowledgement: 1001, flags: [.syn, .ack],
      window: window, windowScale: scale)
    return [(opening, 0), (answer, 0)]
  }

  private func judge(_ segments: [(CapturedSegment, Int)]) -> CaptureJudge {
    var judge = CaptureJudge()
    for (segment, count) in segments {
      let bytes = Forgery.packet(segment, payload: [UInt8](repeating: 1, count: count))
      // What Forgery writes has no options, so the scale is put back by hand.
      guard var packet = parse(bytes) else { continue }
      packet.segment?.windowScale = segment.windowScale
      unsafe judge.observe(packet, bytes: bytes.span.bytes)
    }
    return judge
  }

  private func parse(_ packet: [UInt8]) -> CapturedPacket? {
    unsafe CapturedPacket(parsing: packet.span.bytes)
  }
}
