// What a server gives away to who knocks, and connections that are made by hand to find out.

import NamespaceSupport
import Wire

/// Sorts what a server sends over an interface.
struct Answers: PacketObserver {
  let server: IPAddress
  /// What any listening port answers to a SYN.
  private(set) var synAcks = 0
  /// RSTs; one to what may be a client of before its restart carries 16 bytes for that to know.
  private(set) var resets = 0
  /// Payloads that start like a first message.
  private(set) var firstMessages = 0
  /// Everything else.
  private(set) var others = 0
  /// The first few of what is neither SYN-ACK nor RST.
  private(set) var examples: [String] = []
  /// Bytes of IP packets that came in, and that went out.
  private(set) var bytesReceived = 0
  private(set) var bytesSent = 0

  /// What the server at this address sends.
  init(of server: Host) { self.server = server.address }

  /// Whether there was nothing but SYN-ACKs and RSTs.
  var saysNothing: Bool { firstMessages + others == 0 }

  mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    guard let segment = packet.segment else { return }
    guard segment.source.address == server else {
      bytesReceived += bytes.byteCount
      return
    }
    bytesSent += bytes.byteCount
    let payload = packet.payload(of: bytes)
    if segment.flags == [.syn, .ack], payload.byteCount == 0 {
      synAcks += 1
    } else if segment.flags == .rst, [0, 16].contains(payload.byteCount) {
      resets += 1
    } else {
      if payload.byteCount > 0, payload.byte(at: 0) == TLSRecord.Kind.handshake.rawValue {
        firstMessages += 1
      } else {
        others += 1
      }
      if examples.count < 10 { examples.append("\(segment)") }
    }
  }
}

/// Keeps the packets of a capture, in order.
struct Recording: PacketObserver {
  private var packets: [(source: IPAddress, bytes: [UInt8])] = []

  mutating func observe(_ packet: CapturedPacket, bytes: RawSpan) {
    guard let segment = packet.segment else { return }
    packets.append((segment.source.address, (0..<bytes.byteCount).map { bytes.byte(at: $0) }))
  }

  /// The packets from a host.
  func packets(from host: Host) -> [[UInt8]] {
    packets.filter { $0.source == host.address }.map(\.bytes)
  }
}

/// A TCP connection whose client is nobody but the test.
struct HandmadeConnection {
  let local: Endpoint
  let remote: Endpoint
  private var next: UInt32
  private let acknowledgement: UInt32
  private let injector: Injector

  /// Connects from an address behind the intruder.
  init(
    to remote: Endpoint, over injector: Injector, _ tap: inout PacketTap,
    using random: inout SeededRandom
  ) throws {
    let local = Endpoint.behindIntruder(using: &random)
    let first = UInt32.random(in: 0 ... .max, using: &random)
    try injector.send(Forgery.packet(.syn(from: local, to: remote, sequence: first)))
    var answer: CapturedSegment?
    try wait(for: "a SYN-ACK") {
      try tap.receive { bytes in
        let segment = CapturedPacket(parsing: bytes)?.segment
        if segment?.destination == local, segment?.flags == [.syn, .ack] { answer = segment }
      }
      return answer != nil
    }
    (self.local, self.remote, self.injector) = (local, remote, injector)
    (next, acknowledgement) = (first &+ 1, answer!.sequence &+ 1)
  }

  /// Sends a payload where the one before ended.
  mutating func send(_ payload: [UInt8]) throws {
    let segment = CapturedSegment(
      from: local, to: remote, sequence: next, acknowledgement: acknowledgement, flags: .ack,
      window: 502, payloadCount: payload.count)
    try injector.send(Forgery.packet(segment, payload: payload))
    next = segment.end
  }
}

extension CapturedSegment {
  /// A SYN without options.
  static func syn(from source: Endpoint, to destination: Endpoint, sequence: UInt32) -> Self {
    CapturedSegment(
      from: source, to: destination, sequence: sequence, acknowledgement: 0, flags: .syn,
      window: 64_240)
  }
}
