// The fast path: whole packets to and from the link, many segments in one (packet(7)).
//
//   received  | virtio_net_hdr 10 | link header | IP …
//   sent      | virtio_net_hdr 10 | link header | IP | TCP or ICMP | frame │ payload │ frame │ …  (iovec)
//
// PACKET_VNET_HDR carries the offload state: a super-segment goes out, and comes in after GRO, as
// one packet of up to 64 KiB; the kernel, or the network card, cuts it and completes checksums.

import CLinux
import Glibc
public import Wire

/// An AF_PACKET socket that receives the packets of one family, and sends those of both.
public struct PacketSocket: ~Copyable {
  /// A slot of a `PacketBatch` of this size takes the largest packet: virtio header, Ethernet and
  /// VLAN headers, 65,535 bytes; a multiple of 64.
  public static let slotSize = 65_600
  private static let batchSize = 64

  /// Readable when packets have come.
  public let descriptor: Descriptor
  /// Where the receive buffer is smaller than the 16 MiB wanted.
  public let receiveBufferLimit: BufferLimit?
  /// Where the send buffer is smaller than the 4 MiB wanted: it bounds what waits in the device's
  /// queue, and a run counts with up to 64 KiB.
  public let sendBufferLimit: BufferLimit?
  private var incoming: IncomingMessages
  private var outgoing: OutgoingMessages

  /// Opens the socket for what is received of `family`: one for all protocols would hear frames twice on
  /// bridges and VLANs, before they are this host's. `interface` is the index of the one to receive
  /// from, 0 for all; sending does not depend on it. `mark` is seen by what looks at packets behind
  /// routing: queues, filters of the device. Without CAP_NET_RAW the error says the remedy.
  public init(
    filter: SocketFilter, family: AddressFamily = .ipv4, interface: Int32 = 0, mark: UInt32? = nil
  ) throws(SystemError) {
    // Protocol 0 receives nothing before bind(2), so nothing unfiltered is ever queued.
    let descriptor = try openSocket(
      "AF_PACKET", domain: AF_PACKET, type: SOCK_RAW,
      remedy: Capabilities.missingRemedy(for: .netRaw))
    try filter.attach(to: descriptor.rawValue)
    for (name, option) in [
      ("PACKET_VNET_HDR", PACKET_VNET_HDR), ("PACKET_AUXDATA", PACKET_AUXDATA),
      ("PACKET_IGNORE_OUTGOING", PACKET_IGNORE_OUTGOING),
    ] {
      try setOption(name, of: descriptor, level: SOL_PACKET, option: option, to: 1)
    }
    try setMark(mark, of: descriptor)
    let receiveBufferLimit = try enlarge(.receive, of: descriptor, to: 16 << 20)
    let sendBufferLimit = try enlarge(.send, of: descriptor, to: 4 << 20)
    var address = LinkHop(interfaceIndex: interface, family: family).socketAddress
    let number = descriptor.rawValue
    try check("bind AF_PACKET socket to interface \(interface)") {
      unsafe rs_bind(number, &address, socklen_t(MemoryLayout<sockaddr_ll>.size))
    }
    self.descriptor = descriptor
    self.receiveBufferLimit = receiveBufferLimit
    self.sendBufferLimit = sendBufferLimit
    incoming = IncomingMessages(capacity: Self.batchSize)
    outgoing = OutgoingMessages(
      messages: Self.batchSize, pieces: 2 * OutgoingMessages.pieceLimit)
  }

  /// Puts another filter in the place of the present one; no packet is missed or let through in
  /// between.
  public func replaceFilter(_ filter: SocketFilter) throws(SystemError) {
    try filter.attach(to: descriptor.rawValue)
  }

  /// Packets that found the receive buffer full since the last call.
  public func drops() throws(SystemError) -> UInt32 {
    var statistics = tpacket_stats()
    try readOption(
      "PACKET_STATISTICS", of: descriptor, level: SOL_PACKET, option: PACKET_STATISTICS,
      into: &statistics)
    return statistics.tp_drops
  }
}

// Receiving.
extension PacketSocket {
  /// Fills `batch` anew with the packets that are there, each from its IP header on, and gives
  /// their number. A packet that did not fit, or makes no sense, is a slot of length 0.
  public mutating func receive(into batch: inout PacketBatch) throws(SystemError) -> Int {
    batch.removeAll()
    let count = try incoming.receive(from: descriptor, into: batch)
    for index in 0..<count {
      let start = index &* batch.slotSize
      batch.append(
        slot(index, startingAt: start, in: batch) ?? PacketSlot(offset: start, length: 0))
    }
    return count
  }

  private func slot(
    _ index: Int, startingAt start: Int, in batch: borrowing PacketBatch
  ) -> PacketSlot? {
    guard let length = incoming.length(of: index),
      let auxiliary = incoming.control(
        tpacket_auxdata.self, of: index, level: SOL_PACKET, kind: PACKET_AUXDATA)
    else { return nil }
    return PacketSlot(
      received: batch.bytes(start..<start &+ length), at: start,
      networkOffset: Int(auxiliary.tp_net))
  }
}

extension PacketSlot {
  /// The packet in the `bytes` of a message, which start at `start` of a batch's memory: behind the
  /// virtio header and `networkOffset` bytes of link header. Nil where the message ends before that.
  @inline(__always)
  init?(received bytes: RawSpan, at start: Int, networkOffset: Int) {
    let headerSize = MemoryLayout<virtio_net_hdr>.size
    let offset = headerSize &+ networkOffset
    guard networkOffset >= 0, offset <= bytes.byteCount else { return nil }
    let header = unsafe bytes.unsafeLoadUnaligned(as: virtio_net_hdr.self)
    let trusted = UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)
    self.init(
      offset: start &+ offset, length: bytes.byteCount &- offset,
      segmentSize: header.gso_type == VIRTIO_NET_HDR_GSO_NONE ? 0 : Int(header.gso_size),
      isChecksumTrusted: header.flags & trusted != 0)
  }
}

// Sending.
extension PacketSocket {
  /// Sends the runs whose channel has a hop; `RawSocket` sends the others. `hops` is indexed by
  /// channel, `payloads` is what the runs' pieces lie in. Writes into the runs' headroom.
  public mutating func send(
    _ segments: inout SegmentBatch, payloads: borrowing PacketBatch, hops: borrowing [LinkHop?]
  ) -> SendResult {
    var result = SendResult()
    for index in 0..<segments.count {
      let run = segments[index]
      guard let hop = LinkHop.hop(of: run, in: hops),
        outgoing.open(
          pieces: run.pieces.count, segments: run.segmentCount, on: descriptor, into: &result)
      else { continue }
      outgoing.address(hop.socketAddress)
      let first = segments.piece(run.pieces.lowerBound)
      let start = Self.writeHeaders(of: run, to: hop, in: &segments)
      outgoing.add(segments.bytes(start..<first.offset &+ first.length))
      for piece in run.pieces.dropFirst() {
        outgoing.add(segments.bytes(of: segments.piece(piece), packets: payloads))
      }
    }
    outgoing.flush(on: descriptor, into: &result)
    return result
  }

  /// Writes the virtio and link headers in front of a run; gives where they start in the arena.
  private static func writeHeaders(
    of run: SegmentRun, to hop: LinkHop, in segments: inout SegmentBatch
  ) -> Int {
    let header = run.isTCP ? offload(of: run, to: hop, in: segments) : virtio_net_hdr()
    let start = run.headerOffset &- hop.headerLength &- MemoryLayout<virtio_net_hdr>.size
    var arena = unsafe MutableRawSpan(_unsafeBytes: segments.arena)
    arena.storeBytes(of: header, toByteOffset: start, as: virtio_net_hdr.self)
    hop.emit(into: &arena, endingAt: run.headerOffset)
    return start
  }

  /// What is left to the kernel, or the card: TCP's checksum, and to cut the run.
  private static func offload(
    of run: SegmentRun, to hop: LinkHop, in segments: borrowing SegmentBatch
  ) -> virtio_net_hdr {
    let tcpOffset = run.headerOffset &+ run.ipHeaderLength
    let dataOffset = segments.bytes(tcpOffset..<tcpOffset &+ TCPHeader.byteCount).byte(at: 12) >> 4
    let headerStart = hop.headerLength &+ run.ipHeaderLength
    let isSuper = run.segmentCount > 1
    let kind = run.isIPv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6
    return virtio_net_hdr(
      flags: UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM),
      gso_type: UInt8(isSuper ? kind : VIRTIO_NET_HDR_GSO_NONE),
      hdr_len: UInt16(headerStart &+ Int(dataOffset) &* 4),
      gso_size: isSuper ? UInt16(run.segmentSize) : 0,
      csum_start: UInt16(headerStart), csum_offset: UInt16(TCPHeader.checksumOffset))
  }
}
