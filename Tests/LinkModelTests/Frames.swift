// Frames for the link to carry.

import Wire

@testable import LinkModel

enum Frames {
  static let client: [UInt8] = [10, 77, 1, 1]
  static let server: [UInt8] = [10, 77, 1, 2]
  static let client6: [UInt8] = [0xFD, 0x77] + [UInt8](repeating: 0, count: 13) + [1]
  static let server6: [UInt8] = [0xFD, 0x77] + [UInt8](repeating: 0, count: 13) + [2]

  static func ethernet(_ direction: Direction, type: UInt16, _ packet: [UInt8]) -> [UInt8] {
    let (client, server): ([UInt8], [UInt8]) = ([2, 0, 0, 0, 1, 1], [2, 0, 0, 0, 1, 2])
    return (direction == .up ? server + client : client + server) + be(type) + packet
  }

  static func ipv4(
    _ direction: Direction, _ number: UInt8, fragment: UInt16 = 0x4000, _ payload: [UInt8]
  ) -> [UInt8] {
    let header =
      [0x45, 0] + be(UInt16(20 + payload.count)) + [0, 0] + be(fragment) + [64, number, 0, 0]
    let addresses = direction == .up ? client + server : server + client
    return ethernet(direction, type: 0x0800, header + addresses + payload)
  }

  static func ipv6(_ direction: Direction, _ next: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let header = [0x60, 0, 0, 0] + be(UInt16(payload.count)) + [next, 64]
    let addresses = direction == .up ? client6 + server6 : server6 + client6
    return ethernet(direction, type: 0x86DD, header + addresses + payload)
  }

  /// A datagram of `byteCount` bytes, headers of UDP and IP included.
  static func udp(
    _ direction: Direction, client: UInt16 = 4000, server: UInt16 = 10_001, byteCount: Int = 1400
  ) -> [UInt8] {
    let header =
      ports(direction, client, server) + be(UInt16(byteCount - 20)) + [0, 0]
    return ipv4(direction, 17, header + [UInt8](repeating: 7, count: byteCount - 28))
  }

  static func tcpSegment(
    _ direction: Direction, client: UInt16 = 4000, server: UInt16 = 10_001, sequence: UInt32 = 1,
    acknowledgment: UInt32 = 1, flags: TCPFlags = .ack, payloadCount: Int = 0
  ) -> [UInt8] {
    ports(direction, client, server)
      + be(sequence) + be(acknowledgment) + [0x50, flags.rawValue, 0x10, 0, 0, 0, 0, 0]
      + [UInt8](repeating: 7, count: payloadCount)
  }

  static func ports(_ direction: Direction, _ client: UInt16, _ server: UInt16) -> [UInt8] {
    direction == .up ? be(client) + be(server) : be(server) + be(client)
  }

  static func be<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    stride(from: Number.bitWidth - 8, through: 0, by: -8).map {
      UInt8(truncatingIfNeeded: number >> Number($0))
    }
  }
}

extension Instant {
  static func at(_ duration: Duration) -> Instant {
    Instant(nanoseconds: 1_000_000_000_000) + duration
  }
}

/// A link that `#expect` may ask: it takes no value that changes.
final class TestLink {
  private var link: Link

  init(_ commands: String..., flowLimit: Int = 65_536) throws {
    link = Link(seed: 1, flowLimit: flowLimit)
    for command in commands { try apply(command) }
  }

  var flowLines: [String] { link.flowLines }
  /// Since the start.
  var nextDeadline: Duration { link.nextDeadline - .at(.zero) }
  func counters(_ direction: Direction) -> Counters { link.counters(direction) }
  func takeResets() -> [ForgedFrame] { link.takeResets() }
  func takeDueResets(at time: Duration) -> [ForgedFrame] { link.takeDueResets(at: .at(time)) }

  @discardableResult
  func apply(_ command: String, at time: Duration = .zero) throws -> Request {
    try link.apply(command, at: .at(time))
  }

  @discardableResult
  func arrive(
    _ frame: [UInt8], slot: Int = 0, _ direction: Direction, at time: Duration
  ) -> Bool {
    link.arrive(frame.span.octets, slot: slot, direction, at: .at(time))
  }

  func inject(_ frame: ForgedFrame, slot: Int = 0, at time: Duration) {
    link.inject(frame, slot: slot, at: .at(time))
  }

  /// All that leaves one way until then: slots, and times since the start.
  func leaveAll(
    _ direction: Direction, until time: Duration = .seconds(1000)
  ) -> [(slot: Int, time: Duration)] {
    var result: [(slot: Int, time: Duration)] = []
    while let waiting = link.leave(direction, at: .at(time)) {
      result.append((waiting.slot, waiting.release - .at(.zero)))
    }
    return result
  }
}

/// Bytes as a checksum takes them.
func checksum(_ bytes: ArraySlice<UInt8>, plus words: UInt16...) -> UInt16 {
  let bytes = Array(bytes)
  var checksum = Checksum()
  checksum.add(bytes.span.octets)
  for word in words { checksum.add(word) }
  return checksum.value
}
