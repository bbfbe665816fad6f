// ICMP echo (RFC 792; RFC 4443, section 4): the segments of channels on ICMP, sent and received. What
// follows the badge is what a datagram on UDP carries.
//
//    type 1 | code 1 | checksum 2 | identifier 2 | sequence 2 | badge 4 | channel 4, frames … or a message

/// ICMP of either family.
public enum ICMP {
  /// The protocol number of a family's ICMP.
  @inlinable
  public static func protocolNumber(_ family: AddressFamily) -> UInt8 { family == .ipv4 ? 1 : 58 }

  /// Whether the checksum of the message that is `packet`'s payload is right.
  public static func isChecksumValid(of packet: borrowing IPPacket) -> Bool {
    var checksum = Checksum()
    checksum.addICMPPseudoHeader(
      source: packet.source, destination: packet.destination, length: packet.payload.byteCount)
    checksum.add(packet.payload)
    return checksum.value == 0
  }
}

extension Checksum {
  /// Adds what a checksum of ICMP has in it beside the message: ICMPv6 the pseudo-header (RFC 4443,
  /// section 2.3), ICMP nothing.
  @inlinable
  mutating func addICMPPseudoHeader(source: IPAddress, destination: IPAddress, length: Int) {
    guard !source.isIPv4 else { return }
    addPseudoHeader(
      source: source, destination: destination,
      protocolNumber: ICMP.protocolNumber(.ipv6), length: length)
  }
}

/// The two echo messages. Their number is the badge: the first four bytes of what a tunnel's message
/// carries, which tell it from anybody's ping. ping(8) begins with the time, in either byte order: these
/// are times of long ago. Each way has its own, since a kernel that answers a client's request sends its
/// bytes back.
public enum EchoKind: UInt32, CaseIterable, Sendable {
  /// From the client.
  case request = 0x5253_4351
  /// From the server.
  case reply = 0x5253_4341

  /// The ICMP type of a family.
  @inlinable
  public func type(_ family: AddressFamily) -> UInt8 {
    switch (self, family) {
    case (.request, .ipv4): 8
    case (.reply, .ipv4): 0
    case (.request, .ipv6): 128
    case (.reply, .ipv6): 129
    }
  }
}

/// The header of an echo message, with the badge.
public struct EchoHeader: Hashable, Sendable {
  /// Its size in bytes.
  public static let byteCount = 12
  /// Where the checksum stands, bytes from the header's start.
  public static let checksumOffset = 2
  /// Where the badge stands.
  public static let badgeOffset = 8

  /// Which of the two it is.
  public var kind: EchoKind
  /// What NATs tell connections apart by, and may change: the client's, in both directions.
  public var identifier: UInt16
  /// The number of a request; a reply repeats it.
  public var sequence: UInt16

  /// A header from its fields.
  public init(_ kind: EchoKind, identifier: UInt16, sequence: UInt16) {
    self.kind = kind
    self.identifier = identifier
    self.sequence = sequence
  }

  /// Writes the header into the 12 bytes at `offset`, with 0 for the checksum.
  public func emit(into bytes: inout MutableRawSpan, at offset: Int, family: AddressFamily) {
    bytes.set(UInt16(kind.type(family)) << 8, at: offset)
    bytes.set(0 as UInt16, at: offset &+ Self.checksumOffset)
    bytes.set(identifier, at: offset &+ 4)
    bytes.set(sequence, at: offset &+ 6)
    bytes.set(kind.rawValue, at: offset &+ Self.badgeOffset)
  }
}

/// A received echo message with a badge.
public struct EchoMessage: ~Escapable {
  /// Its header's fields.
  public let header: EchoHeader
  /// What lies behind the badge.
  public let payload: RawSpan

  /// Checks protocol, length, type, code and badge; the checksum is `ICMP.isChecksumValid(of:)`. A
  /// request that a kernel answered has a reply's type and a request's badge: it is none.
  @_lifetime(copy packet)
  public init?(_ packet: borrowing IPPacket) {
    let bytes = packet.payload
    let family = packet.source.family
    guard packet.protocolNumber == ICMP.protocolNumber(family),
      bytes.byteCount >= EchoHeader.byteCount,
      let kind = EchoKind(rawValue: bytes.be32(at: EchoHeader.badgeOffset)),
      bytes.be16(at: 0) == UInt16(kind.type(family)) << 8
    else { return nil }
    header = EchoHeader(kind, identifier: bytes.be16(at: 4), sequence: bytes.be16(at: 6))
    payload = bytes.extracting(EchoHeader.byteCount..<bytes.byteCount)
  }
}

// Sending: a segment is a run of its own, since nothing cuts ICMP, and its checksum is made here.
extension SegmentBatch {
  /// Opens a run of one segment of ICMP, with a channel's number in front of its frames, where there is
  /// one. False where the batch is full.
  public mutating func beginEcho(
    channel: Int?, number: UInt32?, family: AddressFamily
  ) -> Bool {
    let numberLength = number == nil ? 0 : ChannelNumber.byteCount
    guard
      beginRun(
        channel, family, protocolNumber: ICMP.protocolNumber(family),
        headerLength: EchoHeader.byteCount &+ numberLength)
    else { return false }
    if let number {
      unsafe arena.storeBytes(
        of: number.bigEndian, toByteOffset: arenaUsed &- ChannelNumber.byteCount, as: UInt32.self)
    }
    return true
  }

  /// Writes the headers of the open run, which is one of ICMP, and adds it to the batch; addresses,
  /// `identification` and `flowLabel` as of TCP. The checksum is to come: `completeChecksums`.
  public mutating func finishEcho(
    _ echo: EchoHeader, from source: IPAddress, to destination: IPAddress, identification: UInt16,
    flowLabel: UInt32
  ) {
    guard let run = openRun, !run.isTCP, run.ipHeaderLength > 0 else {
      preconditionFailure("no run of ICMP is open")
    }
    let end = run.headerOffset &+ run.ipHeaderLength &+ EchoHeader.byteCount
    // With the channel's number, where there is one.
    var length = -run.ipHeaderLength
    for piece in run.pieces.lowerBound..<pieces.count { length &+= pieces[piece].length }
    var header = unsafe MutableRawSpan(
      _unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: arena[run.headerOffset..<end]))
    writeIPHeader(
      of: run, payloadLength: length, from: source, to: destination, identification, flowLabel,
      into: &header)
    echo.emit(into: &header, at: run.ipHeaderLength, family: run.isIPv4 ? .ipv4 : .ipv6)
    hasEchoes = true
    add(run)
  }

  /// Completes the checksums of ICMP, which nobody does for us: cards know TCP and UDP. `packets` is what
  /// the runs' pieces lie in; to be called once, before the runs are sent.
  public mutating func completeChecksums(packets: borrowing PacketBatch) {
    guard hasEchoes else { return }
    for index in 0..<count {
      let run = self[index]
      if !run.isTCP, run.ipHeaderLength > 0 { completeChecksum(of: run, packets) }
    }
  }

  private mutating func completeChecksum(of run: SegmentRun, _ packets: borrowing PacketBatch) {
    var checksum = Checksum()
    var length = 0
    for index in run.pieces {
      let bytes = bytes(of: pieces[index], packets: packets)
      // The first piece starts with the IP header.
      let skipped = index == run.pieces.lowerBound ? run.ipHeaderLength : 0
      checksum.add(bytes.extracting(skipped..<bytes.byteCount), at: length)
      length &+= bytes.byteCount &- skipped
    }
    let header = bytes(run.headerOffset..<run.headerOffset &+ run.ipHeaderLength)
    let (source, destination) = header.addresses
    checksum.addICMPPseudoHeader(source: source, destination: destination, length: length)
    let offset = run.headerOffset &+ run.ipHeaderLength &+ EchoHeader.checksumOffset
    unsafe arena.storeBytes(
      of: checksum.value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }
}
