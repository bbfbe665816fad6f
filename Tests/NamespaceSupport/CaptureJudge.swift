// What a capture of the tunnel must not show.

import Wire

/// Counts what is wrong, or costly, in a capture.
public struct CaptureJudge: PacketObserver {
  private let mtu: Int
  private let isSealed: Bool
  private var directions: [FourTuple: Direction] = [:]

  /// TCP segments, as many as on the wire.
  public private(set) var segments = 0
  /// Those with payload.
  public private(set) var dataSegments = 0
  /// Those that are only acknowledgements.
  public private(set) var pureAcknowledgements = 0
  /// Those with RST.
  public private(set) var resets = 0
  /// IP fragments.
  public private(set) var fragments = 0
  /// Packets larger than the MTU.
  public private(set) var tooLarge = 0
  /// Packets with a wrong IP or TCP checksum.
  public private(set) var badChecksums = 0
  /// Segments that reach beyond the window that the peer advertised.
  public private(set) var outsideWindow = 0
  /// Segments whose window cannot be judged, because the capture lacks the handshake.
  public private(set) var unjudged = 0
  /// Segments whose payload is not a sequence of whole records that look like TLS.
  public private(set) var withoutRecords = 0
  /// The first few wrong segments, for messages.
  public private(set) var examples: [String] = []

  /// A judge of a link with an MTU in bytes. Where all is sealed, all has to look like TLS.
  public init(mtu: Int = 1500, isSealed: Bool = false) {
    self.mtu = mtu
    self.isSealed = isSealed
  }

  /// Whether nothing is wrong. Pure acknowledgements are not wrong, only costly.
  public var isClean: Bool {
    resets + fragments + tooLarge + badChecksums + outsideWindow + unjudged + withoutRecords == 0
  }

  /// Takes the next packet.
  public mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    if packet.isFragment { fragments += 1 }
    if packet.largestPacket > mtu { note(packet, "larger than the MTU", \.tooLarge) }
    if !packet.hasValidHeaderChecksum || packet.hasValidChecksum == false {
      note(packet, "bad checksum", \.badChecksums)
    }
    guard let segment = packet.segment else { return }
    segments += packet.segmentCount
    if segment.payloadCount > 0 { dataSegments += packet.segmentCount }
    if segment.isPureAcknowledgement { pureAcknowledgements += 1 }
    if segment.flags.contains(.rst) { note(packet, "RST", \.resets) }
    if isSealed, TLSRecord.sequence(in: packet.payload(of: bytes)) == nil {
      note(packet, "no TLS records", \.withoutRecords)
    }
    judgeWindow(packet, segment)
  }

  /// What one side of a connection has promised.
  private struct Direction {
    /// The highest sequence number that its receiver was allowed to send up to.
    var rightEdge: UInt32?
    /// Its window scale; nil until its SYN or SYN-ACK was seen.
    var scale: UInt8?
    var hasScaleOption = false
  }

  private mutating func judgeWindow(_ packet: CapturedPacket, _ segment: CapturedSegment) {
    let tuple = FourTuple(local: segment.source, remote: segment.destination)
    let reverse = FourTuple(local: segment.destination, remote: segment.source)
    if segment.flags.contains(.syn) {
      if !segment.flags.contains(.ack) { directions[reverse] = nil }
      directions[tuple] = Direction(
        rightEdge: nil, scale: segment.windowScale ?? 0,
        hasScaleOption: segment.windowScale != nil)
    }
    // Nothing is promised to a SYN, and a RST is judged as such.
    guard !segment.flags.contains(.rst) else { return }
    if segment.payloadCount > 0 || segment.flags.contains(.fin) {
      if let edge = directions[reverse]?.rightEdge {
        if isAfter(segment.end, edge) {
          note(packet, "beyond the window's edge at \(edge)", \.outsideWindow)
        }
      } else {
        note(packet, "no handshake seen", \.unjudged)
      }
    }
    extendWindow(segment, tuple, reverse)
  }

  private mutating func extendWindow(
    _ segment: CapturedSegment, _ tuple: FourTuple, _ reverse: FourTuple
  ) {
    guard segment.flags.contains(.ack), var side = directions[tuple], let scale = side.scale
    else { return }
    // RFC 7323, section 2.2: scaled only if both sides sent the option, never in a SYN.
    let isScaled =
      !segment.flags.contains(.syn) && side.hasScaleOption
      && directions[reverse]?.hasScaleOption == true
    let window = UInt32(segment.window) << (isScaled ? UInt32(scale) : 0)
    let edge = segment.acknowledgement &+ window
    if side.rightEdge.map({ isAfter(edge, $0) }) ?? true { side.rightEdge = edge }
    directions[tuple] = side
  }

  private mutating func note(
    _ packet: CapturedPacket, _ fault: String, _ count: WritableKeyPath<Self, Int>
  ) {
    self[keyPath: count] += 1
    if examples.count < 10 {
      examples.append("\(fault): \(packet.segment?.description ?? "no TCP segment")")
    }
  }
}

extension CaptureJudge: CustomStringConvertible {
  /// All counts and the first faults.
  public var description: String {
    """
    \(segments) segments, \(dataSegments) with data, \(pureAcknowledgements) pure ACKs, \
    \(resets) RSTs, \(fragments) fragments, \(tooLarge) too large, \(badChecksums) bad checksums, \
    \(outsideWindow) outside the window, \(unjudged) unjudged, \(withoutRecords) without \
    records; \(examples)
    """
  }
}
