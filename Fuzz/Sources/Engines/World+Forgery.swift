// What none of the ends has sent: forged segments, other clients, any bytes.

import Crypto
import Samples
import Wire

@testable import Engine

extension World {
  /// A segment that seems to come from one of the ends, on a connection that there is.
  mutating func forge() {
    guard !medium.lines.isEmpty else { return }
    let line = medium.lines[script.choice(of: medium.lines.count)]
    let choice = script.byte()
    let direction = Direction(choice)
    let (sender, receiver) =
      direction == .toServer ? (line.client, line.server) : (line.server, line.client)
    let fields = Packet.Fields(
      sequence: sender.next &+ script.error(),
      // Everything that the receiver has sent, or what the sender said last.
      acknowledgment: (choice & 2 == 0 ? receiver.next : sender.acknowledgment) &+ script.error(),
      flags: choice & 4 == 0 ? [.ack, .psh] : TCPFlags(rawValue: script.byte()),
      window: choice & 8 == 0 ? 32_768 : script.word())
    let options = choice & 16 == 0 ? [] : script.take(script.choice(of: 41))
    let payload =
      if choice & 32 != 0 {
        HandshakeRecord.bytes(containing: hello(channel: line.name))
      } else if let insider = line.insider, insider.isReady, direction == .toServer {
        sealedFrames(of: insider, line.client)
      } else {
        frames(of: sender, to: receiver)
      }
    medium.put(
      Packet(
        from: sender.endpoint, to: receiver.endpoint, fields, options: options, payload: payload),
      direction)
  }

  /// Another client: its SYN, or the Hello that answers the server's SYN-ACK.
  mutating func stranger() {
    let choice = script.byte()
    let (source, destination) = strangersEndpoints(choice)
    guard choice & 4 == 0, let index = medium.index(source, destination) else {
      return sendSYN(choice, from: source, to: destination)
    }
    let channel = script.long()
    sendFirst(HandshakeRecord.bytes(containing: hello(channel: channel)), onLine: index)
  }

  /// A client that has the key: its SYN, or a first message with any payload.
  mutating func insider() {
    let choice = script.byte()
    let (source, destination) = strangersEndpoints(choice)
    guard choice & 4 == 0, let index = medium.index(source, destination) else {
      return sendSYN(choice, from: source, to: destination)
    }
    let insider = Insider(choice & 8 == 0 ? .aes256GCM : .chaCha20Poly1305)
    let cookie = (medium.lines[index].server.next &- 1) &+ script.error()
    let time = End.clock &+ UInt64(now.nanoseconds / 1_000_000) &+ UInt64(script.error())
    let supplement = HelloSupplement(time: time, cookie: cookie)
    let payload = hello(channel: script.long()) + supplement.bytes
    let hint = script.byte() & 1 == 0 ? HintPeriod.containing(milliseconds: time) : .noClock
    let record = insider.firstMessage(
      Array(payload.dropLast(Int(script.error() & 0xFF))), key: World.key.key, hint: hint)
    medium.setInsider(insider, ofLine: index)
    sendFirst(record, onLine: index)
  }

  private mutating func strangersEndpoints(
    _ choice: UInt8
  ) -> (source: Endpoint, destination: Endpoint) {
    (
      Endpoint(
        IPAddress(ipv4: 0x0A00_0100 + UInt32(choice >> 4)), 50_000 + UInt16(script.byte())),
      Endpoint(Self.serverAddress, Self.firstPort + UInt16(choice & 3))
    )
  }

  private mutating func sendSYN(_ choice: UInt8, from source: Endpoint, to destination: Endpoint) {
    let fields = Packet.Fields(
      sequence: script.long(), acknowledgment: 0, flags: .syn, window: 64_240)
    let usual: [UInt8] = [2, 4, 5, 0xB4, 1, 1, 4, 2, 1, 3, 3, 7]
    let options = choice & 8 == 0 ? usual : script.take(script.choice(of: 41))
    medium.pass(
      Packet(from: source, to: destination, fields, options: options, payload: []), .toServer)
  }

  /// Sends the first payload of a connection whose SYN-ACK came.
  private mutating func sendFirst(_ payload: [UInt8], onLine index: Int) {
    let line = medium.lines[index]
    let fields = Packet.Fields(
      sequence: line.server.acknowledgment, acknowledgment: line.server.next,
      flags: [.ack, .psh], window: 502)
    medium.pass(
      Packet(from: line.client.endpoint, to: line.server.endpoint, fields, payload: payload),
      .toServer)
  }

  /// Any bytes, mostly with the right length.
  mutating func raw() {
    let choice = script.byte()
    var packet = Packet(bytes: script.take(script.size()))
    if choice & 2 == 0 { packet.fixLength() }
    packet.isChecksumTrusted = choice & 4 == 0
    medium.put(packet, Direction(choice))
  }
}

// Payloads.
extension World {
  /// Up to 7 frames whose numbers go on from the sender's.
  private mutating func frames(of sender: Line.Side, to receiver: Line.Side) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<UInt32(script.choice(of: 8)) {
      let choice = script.byte()
      let content = content(choice >> 5, probe: receiver.probe)
      let header = FrameHeader(
        type: FrameType(rawValue: choice & 15) ?? .datagram,
        length: UInt16(truncatingIfNeeded: UInt32(content.count) &+ script.error()),
        flow: UInt16(script.byte()), number: sender.frame &+ index &+ script.error())
      // With this bit the type is any.
      let type = choice & 16 == 0 ? 0 : UInt64(script.byte()) << 56
      bytes += octets(header.encoded | type) + content
    }
    return Array(bytes.prefix(65_000))
  }

  /// What a frame carries: nothing, the receiver's probe, the names of channels, zeros, any bytes.
  private mutating func content(_ kind: UInt8, probe: [UInt8]) -> [UInt8] {
    switch kind {
    case 0: []
    case 1: probe
    case 2: medium.lines.flatMap { octets($0.name) }
    case 3: [UInt8](repeating: 0, count: script.size())
    default: script.take(script.choice(of: 64))
    }
  }

  /// Up to 7 sealed frames of any type.
  private mutating func sealedFrames(of insider: Insider, _ sender: Line.Side) -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<UInt32(script.choice(of: 8)) {
      let choice = script.byte()
      let content = content(choice >> 5, probe: [])
      bytes += insider.frame(
        choice & 15, flow: UInt16(script.byte()),
        number: UInt64(sender.frame &+ index &+ script.error()), payload: content)
    }
    return Array(bytes.prefix(65_000))
  }

  /// A Hello; each field may be right.
  private mutating func hello(channel: UInt32) -> [UInt8] {
    let choice = script.byte()
    var hello = Hello(
      observed: TCPOptions(
        maximumSegmentSize: choice & 1 == 0 ? 1460 : script.word(),
        windowScale: choice & 2 == 0 ? 7 : nil),
      segmentSize: choice & 4 == 0 ? 1460 : script.word(),
      channel: choice & 8 == 0 ? channel : script.long(),
      session: choice & 16 == 0 ? End.session : SessionID(high: UInt64(script.byte()), low: 0))
    if choice & 32 != 0 { hello.version = script.byte() }
    hello.flags =
      choice & 128 == 0 ? [.hasFastAES, .aesGCM, .chaCha20] : HelloFlags(rawValue: script.byte())
    return hello.bytes + (choice & 64 == 0 ? [] : script.take(script.choice(of: 64)))
  }
}
