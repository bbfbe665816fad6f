import Samples
import Testing
import Wire

/// The parts of a captured segment, as values that may leave the parser.
private struct Parts: Hashable {
  var source: Endpoint
  var destination: Endpoint
  var sequence: UInt32
  var acknowledgment: UInt32
  var flags: TCPFlags
  var window: UInt16
  var options: TCPOptions
  var payload: String
  var isChecksumValid: Bool

  init?(_ bytes: [UInt8]) {
    guard let packet = IPPacket(bytes.rawSpan), packet.protocolNumber == 6,
      let segment = TCPSegment(packet.payload)
    else { return nil }
    source = Endpoint(packet.source, segment.sourcePort)
    destination = Endpoint(packet.destination, segment.destinationPort)
    sequence = segment.sequence
    acknowledgment = segment.acknowledgment
    flags = segment.flags
    window = segment.window
    options = TCPOptions(parsing: segment.options)
    payload = String(decoding: array(segment.payload), as: UTF8.self)
    isChecksumValid = TCPSegment.isChecksumValid(of: packet)
  }
}

private let client = Endpoint(IPAddress(ipv4: 0xC000_0201), 40000)
private let server = Endpoint(IPAddress(ipv4: 0xC000_0202), 10001)

extension TCPOptions {
  static let none = TCPOptions(maximumSegmentSize: nil, windowScale: nil)
  static let ofKernel = TCPOptions(
    maximumSegmentSize: 1460, windowScale: 7, permitsSelectiveAcknowledgment: true)
}

@Suite struct KernelSegmentTests {
  @Test func handshakeIsParsed() throws {
    let syn = try #require(Parts(KernelSegments.syn))
    #expect(syn.source == client)
    #expect(syn.destination == server)
    #expect(syn.sequence == 0xB2A2_42CF)
    #expect(syn.acknowledgment == 0)
    #expect(syn.flags == .syn)
    #expect(syn.window == 64240)
    #expect(syn.options == .ofKernel)
    #expect(syn.payload.isEmpty)

    let synAck = try #require(Parts(KernelSegments.synAck))
    #expect(synAck.source == server)
    #expect(synAck.destination == client)
    #expect(synAck.sequence == 0xB378_D360)
    #expect(synAck.acknowledgment == 0xB2A2_42D0)
    #expect(synAck.flags == [.syn, .ack])
    #expect(synAck.window == 64240)
    #expect(synAck.options == .ofKernel)
  }

  @Test func dataAndCloseAreParsed() throws {
    let data = try #require(Parts(KernelSegments.data))
    #expect(data.flags == [.psh, .ack])
    #expect(data.window == 502)
    #expect(data.options == .none)
    #expect(data.payload == "hello, kernel")
    #expect(try #require(Parts(KernelSegments.fin)).flags == [.fin, .ack])
    #expect(try #require(Parts(KernelSegments.reset)).flags == .rst)
    #expect(try #require(Parts(KernelSegments.resetOfSYN)).flags == [.rst, .ack])
  }

  @Test(arguments: KernelSegments.all + KernelSegments.allOfIPv6)
  func checksumIsValidAndCoversEveryByte(segment: [UInt8]) throws {
    #expect(try #require(Parts(segment)).isChecksumValid)
    let start = segment[0] >> 4 == 4 ? 20 : 40
    // Both addresses, and TCP but for its data offset.
    for offset in [start - 8, start - 4] + Array(start..<segment.count) where offset != start + 12 {
      var damaged = segment
      damaged[offset] ^= 0x10
      #expect(try #require(Parts(damaged)).isChecksumValid == false, "byte \(offset)")
    }
  }

  /// The same fields through our emitters give the kernel's bytes, checksums included.
  @Test(arguments: KernelSegments.all + KernelSegments.allOfIPv6)
  func emittedAgainIsTheSame(segment: [UInt8]) throws {
    let ours = try #require(emit(like: segment))
    #expect(ours == segment)
  }

  /// The same through a batch, the checksum completed as the kernel's offload does it: over the
  /// partial sum that the field holds.
  @Test(arguments: KernelSegments.all + KernelSegments.allOfIPv6)
  func builtInBatchIsTheSame(segment: [UInt8]) throws {
    let ours = try #require(build(like: segment))
    #expect(ours == segment)
  }
}

private func emit(like segment: [UInt8]) -> [UInt8]? {
  guard let packet = IPPacket(segment.rawSpan), let tcp = TCPSegment(packet.payload) else {
    return nil
  }
  var emitted = segment
  let start = packet.headerLength
  for offset in 0..<start + 20 { emitted[offset] = 0xA5 }
  let (source, destination, length) = (packet.source, packet.destination, packet.payload.byteCount)
  let header = TCPHeader(tcp)
  let optionLength = tcp.options.byteCount
  emitted.withMutableRawSpan {
    if source.isIPv4 {
      IPv4Header(
        source: source, destination: destination, identification: segment.rawSpan.be16(at: 4),
        protocolNumber: 6, payloadLength: length
      ).emit(into: &$0)
    } else {
      IPv6Header(
        source: source, destination: destination, flowLabel: segment.rawSpan.be32(at: 0),
        nextHeader: 6, payloadLength: length
      ).emit(into: &$0)
    }
    header.emit(into: &$0, at: start, optionLength: optionLength, checksum: 0)
  }
  let checksum = tcpChecksum(of: emitted.rawSpan)
  emitted.withMutableRawSpan { $0.set(checksum, at: start + TCPHeader.checksumOffset) }
  return emitted
}

private func build(like segment: [UInt8]) -> [UInt8]? {
  guard let packet = IPPacket(segment.rawSpan), let tcp = TCPSegment(packet.payload) else {
    return nil
  }
  var batch = SegmentBatch(runs: 1, pieces: 2, arenaSize: 256)
  guard
    batch.beginRun(
      channel: nil, family: packet.source.family, optionLength: tcp.options.byteCount)
  else { return nil }
  if tcp.payload.byteCount > 0 { guard batch.append(copying: tcp.payload) else { return nil } }
  batch.finishRun(
    TCPHeader(tcp), from: packet.source, to: packet.destination,
    identification: segment.rawSpan.be16(at: 4), flowLabel: segment.rawSpan.be32(at: 0),
    options: tcp.options)
  let packets = PacketBatch(capacity: 0, slotSize: 0)
  var built = batch.packet(0, gatheredFrom: packets)
  let completed = Checksum.completing(partial: built)
  built.withMutableRawSpan { $0.set(completed, at: packet.headerLength + TCPHeader.checksumOffset) }
  return built
}

extension TCPHeader {
  fileprivate init(_ segment: borrowing TCPSegment) {
    self.init(
      sourcePort: segment.sourcePort, destinationPort: segment.destinationPort,
      sequence: segment.sequence, acknowledgment: segment.acknowledgment, flags: segment.flags,
      window: segment.window)
  }
}

/// The checksum of the TCP segment in an IPv4 packet whose checksum field is zero.
private func tcpChecksum(of bytes: RawSpan) -> UInt16 {
  guard let packet = IPPacket(bytes) else { return 0 }
  var checksum = Checksum()
  checksum.addPseudoHeader(
    source: packet.source, destination: packet.destination, protocolNumber: 6,
    length: packet.payload.byteCount)
  checksum.add(packet.payload)
  return checksum.value
}

@Suite struct TCPOptionTests {
  private static func parse(_ hex: String) -> TCPOptions {
    TCPOptions(parsing: bytes(hex: hex).rawSpan)
  }

  @Test func orderAndPaddingDoNotMatter() {
    #expect(Self.parse("020405b4 01010402 01030307") == .ofKernel)
    #expect(Self.parse("0303070402 01 020405b4") == .ofKernel)
    #expect(Self.parse("020405b4 0402 080a 0000000100000000 01 030307") == .ofKernel)
    #expect(Self.parse("") == .none)
    #expect(Self.parse("01010101") == .none)
  }

  @Test func endOfListEnds() {
    #expect(Self.parse("00 020405b4") == .none)
    #expect(
      Self.parse("020405b4 00 030307") == TCPOptions(maximumSegmentSize: 1460, windowScale: nil))
  }

  @Test func parsingStopsAtMalformedOption() {
    #expect(Self.parse("02") == .none)
    #expect(Self.parse("0200 020405b4") == .none)
    #expect(Self.parse("0201 020405b4") == .none)
    #expect(Self.parse("020405") == .none)
    #expect(Self.parse("020405b4 0303") == TCPOptions(maximumSegmentSize: 1460, windowScale: nil))
  }

  @Test func wrongLengthsAreSkipped() {
    #expect(Self.parse("0205 05b400 03040700") == .none)
    #expect(Self.parse("040302") == .none)
    #expect(Self.parse("fe04 beef 020405b4 0402 030307") == .ofKernel)
  }

  /// A pair of edges is 8 bytes (RFC 2018, section 3).
  @Test func selectiveAcknowledgments() {
    #expect(Self.parse("0101 050a 0000000100000002").acknowledgesSelectively)
    #expect(
      Self.parse("0101 0512 00000001000000020000000300000004").acknowledgesSelectively)
    #expect(!Self.parse("0101 050a 00000001000000").acknowledgesSelectively)
    #expect(!Self.parse("0502 0402").acknowledgesSelectively)
    #expect(!Self.parse("020405b4 0402").acknowledgesSelectively)
  }

  @Test func valuesAreThoseThatKernelsTake() {
    #expect(Self.parse("03030f").windowScale == 14)
    #expect(Self.parse("0303ff").windowScale == 14)
    #expect(Self.parse("02040000").maximumSegmentSize == nil)
  }
}

@Suite struct TruncationTests {
  @Test func packetsAreParsedOnlyWhenWhole() {
    for segment in KernelSegments.all {
      for length in 0..<segment.count {
        let isParsed = IPPacket(segment.rawSpan.extracting(0..<length)) != nil
        #expect(!isParsed, "\(length) of \(segment.count) bytes")
      }
    }
  }

  @Test func linkPaddingIsCutOff() throws {
    let padded = KernelSegments.ack + [UInt8](repeating: 0xEE, count: 6)
    #expect(Parts(padded) == Parts(KernelSegments.ack))
  }

  @Test func segmentsNeedTheirWholeHeader() {
    for segment in KernelSegments.all {
      let tcp = segment.rawSpan.extracting(20..<segment.count)
      let headerLength = Int(tcp.byte(at: 12) >> 4) * 4
      for length in 0..<tcp.byteCount {
        let isParsed = TCPSegment(tcp.extracting(0..<length)) != nil
        #expect(isParsed == (length >= headerLength), "\(length) bytes")
      }
    }
  }

  @Test(arguments: [(0, 0x65), (0, 0x44), (2, 0xFF), (6, 0x60), (7, 0x01)])
  func foreignHeadersAreRejected(offset: Int, value: Int) {
    var packet = KernelSegments.data
    packet[offset] = UInt8(value)  // version 6, short header, huge length, MF, a fragment's offset
    #expect(Parts(packet) == nil)
  }

  @Test(arguments: [0x00, 0x40, 0xF0] as [UInt8])
  func dataOffsetIsChecked(value: UInt8) {
    var packet = KernelSegments.ack
    packet[32] = value
    #expect(Parts(packet) == nil)
  }
}
