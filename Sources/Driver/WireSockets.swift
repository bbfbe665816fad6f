// The ways to the wire: for packets of our own AF_PACKET where the next hop is known and raw IP for the
// rest, kernel UDP sockets for channels on UDP.

import Engine
import Glibc
import Kernel
import Logging
import Wire

/// The two sockets for packets of our own of one family: fake TCP, ICMP.
struct PacketWire: ~Copyable {
  var packet: PacketSocket
  var raw: RawSocket
}

/// The sockets that carry segments, and each channel's hop.
struct WireSockets: ~Copyable {
  private static let bypassLimit = 4096

  /// Each nil where no channel has packets of our own on that family.
  private var ipv4: PacketWire?
  private var ipv6: PacketWire?
  var udp: UDPSockets
  private var hops: [LinkHop?] = []
  /// The neighbour that each channel's hop depends on, known or not.
  private var neighbours: [NeighbourKey?] = []
  private let transmit: TransmitMode
  /// How control segments leave where the raw socket is refused, by their addresses; the ports are
  /// zero.
  private var bypasses: [FourTuple: LinkHop?] = [:]
  /// Whether a firewall's OUTPUT policy refuses what the raw socket sends.
  private var isRawRefused = false
  /// Channels whose link refused what AF_PACKET gave it: the raw socket carries their runs.
  private(set) var refused: Set<Int> = []
  private var reportedErrors: Set<Int32> = []
  private var packetsLost = 0
  private var packetsMissed = 0
  private let log: Logger

  init(
    ipv4: consuming PacketWire?, ipv6: consuming PacketWire?, udp: consuming UDPSockets,
    transmit: TransmitMode, log: Logger
  ) {
    self.transmit = transmit
    self.ipv4 = ipv4
    self.ipv6 = ipv6
    self.udp = udp
    self.log = log
  }

  /// Segments that the kernel did not take, since the start.
  var lost: Int { packetsLost + udp.lost }

  /// The families that packets are received of.
  var families: [AddressFamily] { (hasIPv4 ? [.ipv4] : []) + (hasIPv6 ? [.ipv6] : []) }

  private var hasIPv4: Bool {
    switch ipv4 {
    case .some: true
    case nil: false
    }
  }

  private var hasIPv6: Bool {
    switch ipv6 {
    case .some: true
    case nil: false
    }
  }

  func watch(_ epoll: borrowing Epoll) throws(SystemError) {
    switch ipv4 {
    case .some(let wire):
      try epoll.add(wire.packet.descriptor.rawValue, token: Token.packets(.ipv4))
    case nil: break
    }
    switch ipv6 {
    case .some(let wire):
      try epoll.add(wire.packet.descriptor.rawValue, token: Token.packets(.ipv6))
    case nil: break
    }
    try udp.watch(epoll)
  }

  /// Fills `batch` anew with packets of a family.
  mutating func receive(
    _ family: AddressFamily, into batch: inout PacketBatch
  ) throws(SystemError) -> Int {
    switch family {
    case .ipv4: try ipv4?.packet.receive(into: &batch) ?? 0
    case .ipv6: try ipv6?.packet.receive(into: &batch) ?? 0
    }
  }

  /// Puts another filter in the place of a family's.
  mutating func replaceFilter(
    _ filter: SocketFilter, _ family: AddressFamily
  ) throws(SystemError) {
    switch family {
    case .ipv4: try ipv4?.packet.replaceFilter(filter)
    case .ipv6: try ipv6?.packet.replaceFilter(filter)
    }
  }

  /// Packets that found a receive buffer full, since the start. The kernel forgets its count when it
  /// is asked (packet(7), PACKET_STATISTICS).
  mutating func missed() -> Int {
    packetsMissed += Int((try? ipv4?.packet.drops()) ?? 0) + Int((try? ipv6?.packet.drops()) ?? 0)
    return packetsMissed
  }

  /// Sets how the channel's runs leave; nil for the raw socket.
  mutating func setHop(_ hop: NextHop?, channel: Int) {
    while hops.count <= channel {
      hops.append(nil)
      neighbours.append(nil)
    }
    hops[channel] = hop?.link
    neighbours[channel] = hop?.neighbour
    refused.remove(channel)
  }

  /// The channels whose hops depend on one of these neighbours.
  func channels(by changed: Set<NeighbourKey>) -> Set<Int> {
    guard !changed.isEmpty else { return [] }
    return Set(neighbours.indices.filter { neighbours[$0].map(changed.contains) ?? false })
  }

  /// Sends everything in the batch; `payloads` is what its pieces lie in.
  mutating func send(
    _ segments: inout SegmentBatch, payloads: borrowing PacketBatch, nextHops: borrowing NextHops
  ) {
    guard segments.count > 0 else { return }
    udp.send(segments, payloads: payloads, log)
    guard hasIPv4 || hasIPv6 else { return }
    segments.completeChecksums(packets: payloads)
    let channelCount = hops.count
    if isRawRefused, transmit == .auto { bypassRaw(&segments, nextHops) }
    // Either packet socket sends for both families.
    let fast =
      (hasIPv4
        ? ipv4?.packet.send(&segments, payloads: payloads, hops: hops)
        : ipv6?.packet.send(&segments, payloads: payloads, hops: hops)) ?? SendResult()
    let slow = ipv4?.raw.send(segments, payloads: payloads, hops: hops) ?? SendResult()
    let other = ipv6?.raw.send(segments, payloads: payloads, hops: hops) ?? SendResult()
    hops.removeLast(hops.count - channelCount)
    packetsLost += fast.lost + slow.lost + other.lost
    if fast.isRefused { fallBack(segments, fast.lastError) }
    if slow.lastError == EPERM || other.lastError == EPERM, !isRawRefused { noteRefusal() }
  }

  private mutating func noteRefusal() {
    isRawRefused = true
    let instead =
      switch transmit {
      case .auto: "control segments go by AF_PACKET"
      case .raw: "allow them, or use --tx=auto"
      }
    log.warning("a firewall's OUTPUT policy refuses raw IP packets: \(instead)")
  }

  /// Leaves the channels of this batch to the raw socket: it cuts the runs itself, and the kernel
  /// finds the way.
  private mutating func fallBack(_ segments: borrowing SegmentBatch, _ code: Int32) {
    for index in 0..<segments.count {
      guard let channel = segments[index].channel, hops.indices.contains(channel),
        hops[channel] != nil
      else { continue }
      hops[channel] = nil
      refused.insert(channel)
    }
    guard reportedErrors.insert(code).inserted else { return }
    let error = SystemError(call: "send by AF_PACKET", code: code)
    log.warning("\(error). Raw IP packets, which cost more, carry the datagrams for a while")
  }

  /// Gives the runs that belong to no channel a hop of their own, found by their destination.
  private mutating func bypassRaw(
    _ segments: inout SegmentBatch, _ nextHops: borrowing NextHops
  ) {
    for index in 0..<segments.count
    where segments[index].channel == nil && segments[index].datagramPath == nil {
      let hop = bypass(for: addresses(of: segments[index], in: segments), nextHops)
      segments.setChannel(hops.count, ofRun: index)
      hops.append(hop)
    }
  }

  /// The kernel is asked once for each pair of addresses, not for each segment.
  private mutating func bypass(
    for tuple: FourTuple, _ nextHops: borrowing NextHops
  ) -> LinkHop? {
    if let known = bypasses[tuple] { return known }
    if bypasses.count == Self.bypassLimit { bypasses.removeAll(keepingCapacity: true) }
    let hop = (try? nextHops.find(tuple, by: .tcp))?.link
    bypasses.updateValue(hop, forKey: tuple)
    return hop
  }

  /// Forgets what the kernel said about ways that may be others now.
  mutating func forgetBypasses() { bypasses.removeAll(keepingCapacity: true) }

  private func addresses(of run: SegmentRun, in segments: borrowing SegmentBatch) -> FourTuple {
    let header = segments.bytes(run.headerOffset..<run.headerOffset + run.ipHeaderLength)
    let (source, destination) = header.addresses
    return FourTuple(local: Endpoint(source, 0), remote: Endpoint(destination, 0))
  }
}
