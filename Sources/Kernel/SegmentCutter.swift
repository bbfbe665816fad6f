// Cuts a run into segments in software, as the kernel does it for the fast path
// (`tcp_gso_segment`, `inet_gso_segment`), for the raw socket, which has no offload.

import Wire

/// Headers of segments that are cut from runs, in memory allocated once. The payload stays where it
/// is.
@safe struct SegmentCutter: ~Copyable {
  private static let headerLimit = IPv6Header.byteCount + 60  // a TCP header with all its options

  private let headers: UnsafeMutableRawBufferPointer

  /// Room for the headers of `capacity` segments.
  init(capacity: Int) {
    unsafe headers = .allocate(byteCount: capacity * Self.headerLimit, alignment: 8)
  }

  deinit { unsafe headers.deallocate() }

  /// Makes slot `slot` the headers of segment `number` of a run: sequence, identification, FIN and
  /// PSH are the segment's own; the checksum is 0, and IPv6's length to come; the kernel writes IPv4's
  /// length and checksum (raw(7)). `runHeader` is the run's IP and TCP header.
  func writeHeader(
    _ runHeader: RawSpan, ofSegment number: Int, of run: SegmentRun, into slot: Int
  ) {
    let tcp = run.ipHeaderLength
    var header = unsafe MutableRawSpan(_unsafeBytes: region(slot, length: runHeader.byteCount))
    for offset in stride(from: 0, to: runHeader.byteCount, by: 4) {
      header.set(runHeader.be32(at: offset), at: offset)
    }
    if run.isIPv4 { header.set(runHeader.be16(at: 4) &+ UInt16(number), at: 4) }
    header.set(runHeader.be32(at: tcp + 4) &+ UInt32(number &* run.segmentSize), at: tcp + 4)
    if number &+ 1 < run.segmentCount {
      let flags = TCPFlags(rawValue: runHeader.byte(at: tcp + 13)).subtracting([.fin, .psh])
      header.set(flags.rawValue, at: tcp + 13)
    }
    header.set(0 as UInt16, at: tcp + TCPHeader.checksumOffset)
  }

  /// Writes what depends on the payload of the segment in `slot`, of `payloadLength` bytes: IPv6's
  /// length, and the checksum over the pseudo-header, the TCP header there, and `payload`.
  func complete(
    _ slot: Int, of run: SegmentRun, headerLength: Int, payload: Checksum, payloadLength: Int
  ) {
    var checksum = payload
    var header = unsafe MutableRawSpan(_unsafeBytes: region(slot, length: headerLength))
    let length = headerLength &- run.ipHeaderLength &+ payloadLength
    if !run.isIPv4 { header.set(UInt16(truncatingIfNeeded: length), at: 4) }
    let (source, destination) = header.bytes.addresses
    checksum.addPseudoHeader(
      source: source, destination: destination, protocolNumber: 6, length: length)
    checksum.add(header.bytes.extracting(run.ipHeaderLength..<headerLength))
    header.set(checksum.value, at: run.ipHeaderLength &+ TCPHeader.checksumOffset)
  }

  /// Adds the headers in `slot` to the open message.
  func add(_ slot: Int, length: Int, to messages: inout OutgoingMessages) {
    messages.add(
      unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(region(slot, length: length))))
  }

  private func region(_ slot: Int, length: Int) -> UnsafeMutableRawBufferPointer {
    precondition(length <= Self.headerLimit)
    let start = slot &* Self.headerLimit
    return unsafe UnsafeMutableRawBufferPointer(rebasing: headers[start..<start &+ length])
  }
}

/// Walks over the payload of a run, piece by piece.
struct PayloadCursor {
  private var piece: Int
  private var offset: Int

  /// Stands behind the run's IP and TCP headers, `headerLength` bytes, in its first piece.
  init(_ run: SegmentRun, headerLength: Int) {
    piece = run.pieces.lowerBound
    offset = headerLength
  }

  /// The next bytes that lie together, at most `limit`.
  @_lifetime(borrow segments, borrow payloads)
  mutating func next(
    limit: Int, in segments: borrowing SegmentBatch, payloads: borrowing PacketBatch
  ) -> RawSpan {
    while offset == segments.piece(piece).length {
      piece &+= 1
      offset = 0
    }
    let bytes = segments.bytes(of: segments.piece(piece), packets: payloads)
    let start = offset
    offset = min(bytes.byteCount, start &+ limit)
    return bytes.extracting(start..<offset)
  }
}
