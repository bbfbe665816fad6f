// The flows through the link, and what the link remembers of each: a policer's bucket, how much it has
// carried, where its TCP stands.

import Wire

/// A four-tuple, seen from the link; both ways have the same one.
struct FlowKey: Hashable, Sendable {
  var transport: Transport
  var client: Address
  var server: Address
  var clientPort: UInt16
  var serverPort: UInt16

  init(_ packet: Packet, _ direction: Direction) {
    transport = packet.transport
    let isUp = direction == .up
    client = isUp ? packet.source : packet.destination
    server = isUp ? packet.destination : packet.source
    clientPort = isUp ? packet.sourcePort : packet.destinationPort
    serverPort = isUp ? packet.destinationPort : packet.sourcePort
  }
}

extension FlowKey: CustomStringConvertible {
  var description: String {
    "\(transport.rawValue) \(client.text(port: clientPort)) \(server.text(port: serverPort))"
  }
}

extension Address {
  /// As people write it, but for IPv6 with all groups.
  fileprivate func text(port: UInt16) -> String {
    let parts =
      isV4
      ? stride(from: 24, through: 0, by: -8).map { "\(v4 >> UInt32($0) & 255)" }
      : [high, low].flatMap { half in
        stride(from: 48, through: 0, by: -16).map {
          String(half >> UInt64($0) & 0xFFFF, radix: 16)
        }
      }
    return isV4
      ? "\(parts.joined(separator: ".")):\(port)" : "[\(parts.joined(separator: ":"))]:\(port)"
  }
}

/// What the link remembers of a four-tuple.
struct Flow: Sendable {
  var policer = BothWays(Meter())
  /// Bytes of IP packets let through.
  var carried = BothWays(0)
  /// Packets dropped, whatever the reason.
  var dropped = BothWays(0)
  /// The latest TCP segments let through.
  var marks = BothWays<SegmentMark?>(nil)
  /// Whether anything passed since the last RSTs.
  var hasMoved = false
  var lastSeen = Instant(nanoseconds: 0)

  /// Keeps the segment that reaches farthest; a SYN begins anew.
  mutating func note(_ packet: Packet, _ direction: Direction) {
    carried[direction] += packet.byteCount
    hasMoved = true
    guard var mark = packet.mark else { return }
    if !packet.isSYN, let latest = marks[direction], Int32(bitPattern: mark.end &- latest.end) < 0 {
      mark.end = latest.end
    }
    marks[direction] = mark
  }
}

/// At most so many flows: where there are more, those seen longest ago are forgotten.
struct FlowTable: Sendable {
  private let limit: Int
  private(set) var entries: [FlowKey: Flow] = [:]

  init(limit: Int = 65_536) { self.limit = limit }

  /// A flow, in its place.
  subscript(key: FlowKey) -> Flow {
    get { entries[key] ?? Flow() }
    _modify {
      if entries.count >= limit, entries[key] == nil { forgetHalf() }
      yield &entries[key, default: Flow()]
    }
  }

  /// Where the TCP connections stand on which anything passed since this was asked last.
  mutating func takeMoved() -> [(FlowKey, BothWays<SegmentMark?>)] {
    entries.filter { $0.value.hasMoved && $0.key.transport == .tcp }.map { key, flow in
      entries[key]!.hasMoved = false
      return (key, flow.marks)
    }
  }

  private mutating func forgetHalf() {
    let middle = entries.values.map(\.lastSeen).sorted()[entries.count / 2]
    entries = entries.filter { $0.value.lastSeen > middle }
  }
}
