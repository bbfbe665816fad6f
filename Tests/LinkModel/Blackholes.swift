// What disappears without a word: one four-tuple, a port, large packets, and flows or a share of the
// ports after so many bytes.

import Wire

/// A protocol, or all of them.
struct Scope: Equatable, Sendable {
  var transport: Transport?

  func covers(_ other: Transport) -> Bool { transport == nil || transport == other }
}

/// The blackholes that are open.
struct Blackholes: Equatable, Sendable {
  struct Tuple: Equatable, Sendable {
    var scope: Scope
    var clientPort: UInt16
    var serverPort: UInt16
  }

  struct Port: Equatable, Sendable {
    var scope: Scope
    var number: UInt16
  }

  struct PortShare: Equatable, Sendable {
    var scope: Scope
    var share: Share
    var byteCount: Int
  }

  struct Budget: Equatable, Sendable {
    var scope: Scope
    var byteCount: Int
  }

  var tuples: [Tuple] = []
  var ports: [Port] = []
  var portShare: PortShare?
  var budget: Budget?
  /// The largest IP packet that passes, in bytes.
  var largest = BothWays<Int?>(nil)

  private struct PortKey: Hashable, Sendable {
    var transport: Transport
    var number: UInt16
  }

  private struct PortState: Equatable, Sendable {
    var isDoomed: Bool
    var byteCount = 0
  }

  private var states: [PortKey: PortState] = [:]
  /// Server ports seen so far, for each protocol.
  private var seen: [Transport: Int] = [:]

  /// A new share of the ports, counted from now on.
  mutating func open(_ portShare: PortShare) {
    self.portShare = portShare
    states = [:]
    seen = [:]
  }

  /// Whether the packet disappears. It counts in the sums of bytes.
  mutating func swallows(
    _ packet: Packet, of key: FlowKey, carried: Int, _ direction: Direction
  ) -> Bool {
    if let largest = largest[direction], packet.byteCount > largest { return true }
    for tuple in tuples
    where tuple.scope.covers(key.transport) && tuple.clientPort == key.clientPort
      && tuple.serverPort == key.serverPort
    { return true }
    for port in ports
    where port.scope.covers(key.transport)
      && (port.number == key.clientPort || port.number == key.serverPort)
    { return true }
    if let budget, budget.scope.covers(key.transport), carried >= budget.byteCount { return true }
    if let portShare, portShare.scope.covers(key.transport), key.serverPort != 0 {
      return exhausts(portShare, packet, key)
    }
    return false
  }

  // Of the ports of a protocol, in the order in which they are first seen, every second for a half,
  // and so on: the share is exact for any number of ports.
  private mutating func exhausts(_ portShare: PortShare, _ packet: Packet, _ key: FlowKey) -> Bool {
    let portKey = PortKey(transport: key.transport, number: key.serverPort)
    if states[portKey] == nil {
      let rank = seen[key.transport, default: 0]
      seen[key.transport] = rank + 1
      states[portKey] = PortState(
        isDoomed: portShare.share.of(rank + 1) > portShare.share.of(rank))
    }
    guard states[portKey]!.isDoomed else { return false }
    if states[portKey]!.byteCount >= portShare.byteCount { return true }
    states[portKey]!.byteCount += packet.byteCount
    return false
  }
}
