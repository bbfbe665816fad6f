// The slow path that always works: one packet at a time, routed by the kernel (raw(7)).
//
// It carries handshakes and keepalives, which also keeps the neighbour table fresh, and everything
// while the next hop on the link is not known. OUTPUT rules, marks and IPsec policy apply to it.

import CLinux
import Glibc
public import Wire

/// A raw socket that sends packets of one family with our own header (IP_HDRINCL, IPV6_HDRINCL).
public struct RawSocket: ~Copyable {
  private static let batchSize = 64

  private let descriptor: Descriptor
  private let family: AddressFamily
  private var outgoing: OutgoingMessages
  private let cutter: SegmentCutter

  /// Opens the socket for packets of `family`; with `interface` they leave by that one only, with `mark`
  /// they are marked. Without CAP_NET_RAW the error says the remedy.
  public init(
    family: AddressFamily = .ipv4, interface: Int32? = nil, mark: UInt32? = nil
  ) throws(SystemError) {
    // IPPROTO_RAW means IP_HDRINCL; of IPv6 too (`inet6_create`).
    let descriptor = try openSocket(
      family == .ipv4 ? "raw IPv4" : "raw IPv6", domain: family.domain, type: SOCK_RAW,
      protocol: Int32(IPPROTO_RAW),
      remedy: Capabilities.missingRemedy(for: .netRaw))
    try SocketFilter.nothing.attach(to: descriptor.rawValue)
    _ = try enlarge(.send, of: descriptor, to: 4 << 20)
    try setMark(mark, of: descriptor)
    if let interface {
      // Chooses the way out as SO_BINDTODEVICE does, but needs no capability and no name.
      switch family {
      case .ipv4:
        try setOption(
          "IP_UNICAST_IF", of: descriptor, level: Int32(IPPROTO_IP), option: IP_UNICAST_IF,
          to: interface.bigEndian)
      case .ipv6:
        try setOption(
          "IPV6_UNICAST_IF", of: descriptor, level: Int32(IPPROTO_IPV6), option: IPV6_UNICAST_IF,
          to: interface.bigEndian)
      }
    }
    self.descriptor = descriptor
    self.family = family
    outgoing = OutgoingMessages(
      messages: Self.batchSize, pieces: 2 * OutgoingMessages.pieceLimit)
    cutter = SegmentCutter(capacity: Self.batchSize)
  }

  /// Sends the runs of its family that `PacketSocket` does not: those without a channel, or whose channel
  /// has no hop. Runs of TCP are cut into their segments, whose checksums are completed. EPERM in the result
  /// means that a firewall's OUTPUT policy refuses.
  public mutating func send(
    _ segments: borrowing SegmentBatch, payloads: borrowing PacketBatch,
    hops: borrowing [LinkHop?]
  ) -> SendResult {
    var result = SendResult()
    for index in 0..<segments.count {
      let run = segments[index]
      guard run.datagramPath == nil, run.isIPv4 == (family == .ipv4),
        LinkHop.hop(of: run, in: hops) == nil
      else { continue }
      if run.isTCP {
        send(run, of: segments, payloads: payloads, into: &result)
      } else {
        sendWhole(run, of: segments, payloads: payloads, into: &result)
      }
    }
    outgoing.flush(on: descriptor, into: &result)
    return result
  }

  private mutating func send(
    _ run: SegmentRun, of segments: borrowing SegmentBatch, payloads: borrowing PacketBatch,
    into result: inout SendResult
  ) {
    let tcp = run.headerOffset &+ run.ipHeaderLength
    let dataOffset = segments.bytes(tcp..<tcp &+ TCPHeader.byteCount).byte(at: 12) >> 4
    let headerLength = run.ipHeaderLength &+ Int(dataOffset) &* 4
    let header = segments.bytes(run.headerOffset..<run.headerOffset &+ headerLength)
    let destination = destination(of: run, in: segments)
    var cursor = PayloadCursor(run, headerLength: headerLength)
    for number in 0..<run.segmentCount {
      // A segment lies in no more pieces than the run does; its header is one more.
      guard
        outgoing.open(
          pieces: run.pieces.count &+ 1, segments: 1, on: descriptor, into: &result)
      else { continue }
      let slot = outgoing.count &- 1
      cutter.writeHeader(header, ofSegment: number, of: run, into: slot)
      outgoing.address(destination)
      cutter.add(slot, length: headerLength, to: &outgoing)
      let length = min(run.segmentSize, run.payloadLength &- number &* run.segmentSize)
      var checksum = Checksum()
      var done = 0
      while done < length {
        let bytes = cursor.next(limit: length &- done, in: segments, payloads: payloads)
        outgoing.add(bytes)
        checksum.add(bytes, at: done)
        done &+= bytes.byteCount
      }
      cutter.complete(
        slot, of: run, headerLength: headerLength, payload: checksum, payloadLength: length)
    }
  }

  /// Sends a run that is one segment, complete as it is.
  private mutating func sendWhole(
    _ run: SegmentRun, of segments: borrowing SegmentBatch, payloads: borrowing PacketBatch,
    into result: inout SendResult
  ) {
    guard outgoing.open(pieces: run.pieces.count, segments: 1, on: descriptor, into: &result) else {
      return
    }
    outgoing.address(destination(of: run, in: segments))
    for piece in run.pieces {
      outgoing.add(segments.bytes(of: segments.piece(piece), packets: payloads))
    }
  }

  /// Where a run goes. Of IPv6 the port is the protocol, for rules that look at it (`rawv6_sendmsg`).
  private func destination(
    of run: SegmentRun, in segments: borrowing SegmentBatch
  ) -> SocketAddress {
    let header = segments.bytes(run.headerOffset..<run.headerOffset &+ run.ipHeaderLength)
    return SocketAddress(
      Endpoint(header.addresses.destination, family == .ipv4 ? 0 : UInt16(run.protocolNumber)),
      on: family)
  }
}
