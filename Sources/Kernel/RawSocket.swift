// The slow path that always works: one IPv4 packet at a time, routed by the kernel (raw(7)).
//
// It carries handshakes and keepalives, which also keeps the neighbour table fresh, and everything
// while the next hop on the link is not known. OUTPUT rules, marks and IPsec policy apply to it.

import CLinux
import Glibc
public import Wire

/// A raw IPv4 socket that sends packets with our own header (IP_HDRINCL).
public struct RawSocket: ~Copyable {
  private static let batchSize = 64

  private let descriptor: Descriptor
  private var outgoing: OutgoingMessages
  private let cutter: SegmentCutter

  /// Opens the socket; with `interface` packets leave by that one only, with `mark` they are marked.
  /// Without CAP_NET_RAW the error says the remedy.
  public init(interface: Int32? = nil, mark: UInt32? = nil) throws(SystemError) {
    // IPPROTO_RAW means IP_HDRINCL.
    let descriptor = try openSocket(
      "raw IPv4", domain: AF_INET, type: SOCK_RAW, protocol: Int32(IPPROTO_RAW),
      remedy: Capabilities.missingRemedy(for: .netRaw))
    try SocketFilter.nothing.attach(to: descriptor.rawValue)
    _ = try enlarge(.send, of: descriptor, to: 4 << 20)
    try setMark(mark, of: descriptor)
    if let interface {
      // Chooses the way out as SO_BINDTODEVICE does, but needs no capability and no name.
      try setOption(
        "IP_UNICAST_IF", of: descriptor, level: Int32(IPPROTO_IP), option: IP_UNICAST_IF,
        to: interface.bigEndian)
    }
    self.descriptor = descriptor
    outgoing = OutgoingMessages(
      messages: Self.batchSize, pieces: 2 * OutgoingMessages.pieceLimit)
    cutter = SegmentCutter(capacity: Self.batchSize)
  }

  /// Sends the runs that `PacketSocket` does not: those without a channel, or whose channel has no
  /// hop. Runs are cut into their segments, whose checksums are completed. EPERM in the result
  /// means that a firewall's OUTPUT policy refuses.
  public mutating func send(
    _ segments: borrowing SegmentBatch, payloads: borrowing PacketBatch,
    hops: borrowing [LinkHop?]
  ) -> SendResult {
    var result = SendResult()
    for index in 0..<segments.count {
      let run = segments[index]
      guard run.datagramPath == nil, LinkHop.hop(of: run, in: hops) == nil else { continue }
      send(run, of: segments, payloads: payloads, into: &result)
    }
    outgoing.flush(on: descriptor, into: &result)
    return result
  }

  private mutating func send(
    _ run: SegmentRun, of segments: borrowing SegmentBatch, payloads: borrowing PacketBatch,
    into result: inout SendResult
  ) {
    let tcp = run.headerOffset &+ IPv4Header.byteCount
    let dataOffset = segments.bytes(tcp..<tcp &+ TCPHeader.byteCount).byte(at: 12) >> 4
    let headerLength = IPv4Header.byteCount &+ Int(dataOffset) &* 4
    let header = segments.bytes(run.headerOffset..<run.headerOffset &+ headerLength)
    let destination = Endpoint(IPAddress(ipv4: header.be32(at: 16)), 0).socketAddress
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
      cutter.completeChecksum(
        in: slot, headerLength: headerLength, payload: checksum, payloadLength: length)
    }
  }
}
