// The kinds of channels. What one needs to know of its connection is a case of `CarrierState`: its
// switches do not compile until a new carrier is complete.

internal import Wire

/// How a channel looks on the wire.
public enum Carrier: String, CaseIterable, Hashable, Sendable {
  /// Fake TCP.
  case tcp
  /// The kernel's UDP.
  case udp
  /// ICMP echo: the client's requests, the server's replies.
  case icmp

  /// What its segments pass through at each end.
  public var medium: SegmentMedium {
    switch self {
    case .tcp, .icmp: .packets
    case .udp: .datagrams
    }
  }

  /// Whether its channels go to the server's ports; else the server has one place for all.
  public var hasPorts: Bool {
    switch self {
    case .tcp, .udp: true
    case .icmp: false
    }
  }

  /// How long a NAT remembers a mapping on which nothing passes: many do so no longer, whatever RFC 4787,
  /// RFC 5508 and RFC 5382 ask for.
  var natMemory: Duration {
    switch self {
    case .tcp: .seconds(600)
    case .udp, .icmp: .seconds(30)
    }
  }

  /// Whether a run of its segments may be sent at once, where the path allows it.
  var hasRuns: Bool {
    switch self {
    case .tcp, .udp: true
    case .icmp: false
    }
  }

  /// The bytes of headers in front of a segment's frames.
  @inline(__always) func headerByteCount(isIPv4: Bool) -> Int {
    let ip = isIPv4 ? IPv4Header.byteCount : IPv6Header.byteCount
    return switch self {
    case .tcp: ip + TCPHeader.byteCount
    case .udp: ip + UDPSegment.udpHeaderByteCount + ChannelNumber.byteCount
    case .icmp: ip + EchoHeader.byteCount + ChannelNumber.byteCount
    }
  }
}

/// What segments pass through at each end of the way.
public enum SegmentMedium: Sendable {
  /// Packet and raw sockets: IP packets whose headers are ours.
  case packets
  /// Kernel UDP sockets, which have the headers.
  case datagrams
}

/// The state of a channel's connection, as its carrier keeps it.
enum CarrierState: Sendable {
  case tcp(TCPConnection)
  case udp(NumberedConnection)
  case icmp(NumberedConnection, EchoConnection)

  /// Which carrier it is.
  var kind: Carrier {
    switch self {
    case .tcp: .tcp
    case .udp: .udp
    case .icmp: .icmp
    }
  }

  /// Client: what the server gave first, and a first message repeats to show that it is no old one.
  var cookie: UInt32 {
    switch self {
    case .tcp(let connection): connection.peerFirstSequence &- 1
    case .udp(let connection), .icmp(let connection, _):
      UInt32(truncatingIfNeeded: connection.token)
    }
  }

  /// The options of the peer's SYN, as its Hello is told of them.
  var observed: TCPOptions {
    switch self {
    case .tcp(let connection): connection.observed
    case .udp, .icmp: TCPOptions(maximumSegmentSize: nil, windowScale: nil)
    }
  }

  /// The bytes of a first message with this content, as they are repeated until it is answered.
  func firstMessage(_ content: [UInt8], channel: UInt32, ofClient isClient: Bool) -> [UInt8] {
    switch self {
    case .tcp: return HandshakeRecord.bytes(containing: content)
    case .udp(let connection), .icmp(let connection, _):
      let token = isClient ? ChannelMessage.bytes(ofToken: connection.token) : []
      return ChannelMessage.bytes(
        isClient ? .opening : .answer, channel: channel, content: token + content)
    }
  }
}

extension Channel {
  /// A copy of its connection: for handshakes, not for each packet.
  var carrier: CarrierState {
    if let tcp { return .tcp(tcp) }
    let connection = numbered ?? NumberedConnection()
    guard let echo else { return .udp(connection) }
    return .icmp(connection, echo)
  }

  /// How many more bytes of datagrams may be in flight now.
  @inline(__always) var sendRoom: Int {
    min(tcp?.sendRoom ?? UDPSegment.runRoom, allowance.room(carried: carried))
  }

  /// Whether our close frame was sent.
  var hasSentClose: Bool { tcp?.closeSequence != nil || numbered?.hasSentClose == true }
}

// What leaves on a channel.
extension TunnelEngine {
  /// Opens a run on the channel; control segments go by the socket that keeps the kernel's idea of the
  /// next hop fresh. False where the batch is full.
  func beginRun(on index: Int, isControl: Bool, into segments: inout SegmentBatch) -> Bool {
    switch channels[index].kind {
    case .tcp:
      segments.beginRun(channel: isControl ? nil : index, family: channels[index].tuple.family)
    case .udp: segments.beginRun(on: channels[index].tuple, channel: channels[index].id)
    case .icmp:
      segments.beginEcho(
        channel: isControl ? nil : index, number: channels[index].id,
        family: channels[index].tuple.family)
    }
  }

  /// Ends the open run, which has `payloadLength` bytes of frames in `segmentCount` segments; the last
  /// one has the close frame where it `isClose`.
  @inline(__always)
  mutating func finishRun(
    on index: Int, payloadLength: Int, segmentCount: Int = 1, isClose: Bool = false,
    into segments: inout SegmentBatch
  ) {
    channels[index].sent.count(segments: segmentCount, bytes: payloadLength)
    if isClose { channels[index].numbered?.hasSentClose = true }
    switch channels[index].kind {
    case .tcp:
      // PSH only on a segment alone: a kernel would set it on a run's last segment, which software
      // GRO then lets overtake the others.
      var flags: TCPFlags = segmentCount == 1 ? [.ack, .psh] : .ack
      if isClose { flags.insert(.fin) }
      let tuple = channels[index].tuple
      let header = channels[index].tcp?.nextHeader(
        tuple, flags: flags, payloadLength: payloadLength, segmentCount: segmentCount)
      if let header { finish(header, on: index, into: &segments) }
    case .udp: segments.finishRun()
    case .icmp: finishEcho(on: index, into: &segments)
    }
  }

  /// Sends a first message without a channel, on a connection that gets none.
  mutating func sendStray(
    _ payload: [UInt8], _ carrier: CarrierState, on tuple: FourTuple,
    into segments: inout SegmentBatch
  ) {
    switch carrier {
    case .tcp(let connection):
      guard begin(payload, on: tuple, into: &segments) else { return counters.drop(.batchFull) }
      let header = TCPHeader(
        sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
        sequence: connection.sendNext, acknowledgment: connection.receiveNext,
        flags: [.ack, .psh], window: .max)
      finishStray(header, on: tuple, into: &segments)
    case .udp: send(message: payload, to: Origin(.udp, tuple), into: &segments)
    case .icmp(_, let echo):
      send(message: payload, to: Origin(.icmp, tuple, sequence: echo.sequence), into: &segments)
    }
  }

  /// Ends a segment of fake TCP.
  @inline(__always)
  func finish(
    _ header: (tcp: TCPHeader, identification: UInt16), on index: Int,
    into segments: inout SegmentBatch
  ) {
    let tuple = channels[index].tuple
    segments.finishRun(
      header.tcp, from: tuple.local.address, to: tuple.remote.address,
      identification: header.identification, flowLabel: channels[index].flowLabel)
  }
}

// Which channel a packet is for.
extension TunnelEngine {
  /// Makes a channel the one that is found by what its segments carry.
  mutating func list(_ index: Int) {
    switch channels[index].kind {
    case .tcp: byTuple[channels[index].tuple] = index
    case .udp, .icmp: byNumber[channels[index].id] = index
    }
  }

  mutating func unlist(_ index: Int) {
    switch channels[index].kind {
    case .tcp: byTuple[channels[index].tuple] = nil
    case .udp, .icmp: byNumber[channels[index].id] = nil
    }
  }

  /// Sends what opens a connection, the first time or again.
  mutating func sendOpening(on index: Int, into segments: inout SegmentBatch, at now: Instant) {
    switch channels[index].kind {
    case .tcp: sendSYN(on: index, into: &segments)
    case .udp, .icmp: sendKnock(on: index, into: &segments, at: now)
    }
  }
}
