// A batch of segments on their way to the wire.
//
//   arena   | headroom 24 | IP 20 or 40 | TCP 20 | frame 8 | frame 8 | …     (one run)
//   pieces  |             | -------- piece 0 ------------- | payload in the PacketBatch | frame | …
//
// A run is one or more segments of one channel, all with `segmentSize` payload bytes but the last,
// which may be shorter: the kernel or the network card cuts it (TCP segmentation offload). The
// headroom is for the link header and the virtio header that the socket puts in front.
//
// A run for a kernel UDP socket has no headers of ours: | channel 4 | frame | channel 4 | frame | …
// One of ICMP is a segment alone, since nothing cuts it: | IP | ICMP 12 | channel 4 | frame | …

/// A batch of segments on their way to the wire.
@safe public struct SegmentBatch: ~Copyable {
  /// Free bytes in front of each IP header: a virtio header (10) and an Ethernet header (14).
  public static let headroom = 24
  /// The most segments in one run.
  public static let runLimit = 64
  /// The most TCP payload in one run: 65,535 bytes less the headers of either family. An IPv6 packet
  /// could have 40 bytes more, but no device takes such a run (`gso_max_size`).
  public static let runPayloadLimit = 65_535 - IPv6Header.byteCount - TCPHeader.byteCount

  /// Headers and copied payload; the socket writes into the headroom of each run.
  public let arena: UnsafeMutableRawBufferPointer
  private let runStorage: UnsafeMutableBufferPointer<SegmentRun>
  private(set) var pieces: PieceList
  private(set) var arenaUsed = 0
  private(set) var openRun: SegmentRun?
  /// The open run's channel on UDP, in front of each segment.
  private var channelNumber: UInt32?
  /// Whether the next frame goes on in the newest segment.
  private var isJoining = false
  /// What of that stands in front of the frame that was added last, in bytes.
  private var numberLength = 0
  /// How many finished runs there are.
  public private(set) var count = 0
  /// Whether there are runs of ICMP among them.
  var hasEchoes = false

  /// An empty batch for up to `runs` runs, `pieces` pieces and `arenaSize` bytes of headers and
  /// copies.
  public init(runs: Int, pieces: Int, arenaSize: Int) {
    unsafe arena = .allocate(byteCount: arenaSize, alignment: 64)
    unsafe runStorage = .allocate(capacity: runs)
    self.pieces = PieceList(capacity: pieces)
  }

  deinit {
    unsafe arena.deallocate()
    unsafe runStorage.deallocate()
  }

  /// Forgets all runs.
  public mutating func removeAll() {
    count = 0
    arenaUsed = 0
    pieces.removeAll()
    openRun = nil
    hasEchoes = false
  }

  /// Run `index`.
  public subscript(index: Int) -> SegmentRun {
    precondition(index >= 0 && index < count)
    return unsafe runStorage[index]
  }

  /// Sends run `index` as if it were one of `channel`.
  public mutating func setChannel(_ channel: Int, ofRun index: Int) {
    precondition(index >= 0 && index < count)
    unsafe runStorage[index].channel = channel
  }

  /// Piece `index` of all runs.
  public func piece(_ index: Int) -> Piece { pieces[index] }

  /// Bytes of the arena; traps outside of it.
  @_lifetime(borrow self)
  public func bytes(_ range: Range<Int>) -> RawSpan {
    let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(arena))
    return unsafe _overrideLifetime(span.extracting(range), borrowing: self)
  }

  /// Bytes of the arena, to be sealed where they lie; traps outside of it.
  @_lifetime(&self)
  public mutating func mutableBytes(_ range: Range<Int>) -> MutableRawSpan {
    unsafe precondition(range.lowerBound >= 0 && range.upperBound <= arena.count)
    let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: arena[range])
    return unsafe _overrideLifetime(MutableRawSpan(_unsafeBytes: bytes), mutating: &self)
  }

  /// The piece's bytes, in the arena or in `packets`.
  @_lifetime(borrow self, borrow packets)
  public func bytes(of piece: Piece, packets: borrowing PacketBatch) -> RawSpan {
    let range = piece.offset..<piece.offset &+ piece.length
    switch piece.origin {
    case .arena: return bytes(range)
    case .packets: return packets.bytes(range)
    }
  }
}

// Building a run: begin, append as often as wanted, finish. What is appended is one more segment each,
// unless `setSegmentSize` makes segments of several.
extension SegmentBatch {
  /// Whether some more control segments certainly fit.
  public var hasRoom: Bool {
    unsafe count &+ 8 < runStorage.count && pieces.room > 16 && arenaUsed &+ 4096 < arena.count
  }

  /// Opens a run between addresses of a family, with room for headers with `optionLength` bytes of TCP
  /// options. False where the batch is full.
  public mutating func beginRun(
    channel: Int?, family: AddressFamily = .ipv4, optionLength: Int = 0
  ) -> Bool {
    beginRun(
      channel, family, protocolNumber: 6, headerLength: TCPHeader.byteCount &+ optionLength)
  }

  /// Opens a run with room for an IP header and one behind it.
  mutating func beginRun(
    _ channel: Int?, _ family: AddressFamily, protocolNumber: UInt8, headerLength: Int
  ) -> Bool {
    let ipHeaderLength = family == .ipv4 ? IPv4Header.byteCount : IPv6Header.byteCount
    let start = (arenaUsed &+ 7) & ~7
    let header = start &+ Self.headroom
    let length = ipHeaderLength &+ headerLength
    guard unsafe count < runStorage.count, pieces.room > 0,
      unsafe header &+ length <= arena.count
    else { return false }
    arenaUsed = header &+ length
    channelNumber = nil
    openRun = SegmentRun(
      channel: channel, datagramPath: nil, headerOffset: header, ipHeaderLength: ipHeaderLength,
      protocolNumber: protocolNumber, pieces: pieces.count..<pieces.count, segmentSize: 0,
      payloadLength: 0)
    pieces.append(
      Piece(origin: .arena, offset: header, length: length), joiningFrom: pieces.count)
    return true
  }

  /// Opens a run that a kernel UDP socket will carry, with a channel's number in front of each segment,
  /// where there is one. False where the batch is full.
  public mutating func beginRun(on path: FourTuple, channel: UInt32?) -> Bool {
    guard unsafe count < runStorage.count else { return false }
    openRun = SegmentRun(
      channel: nil, datagramPath: path, headerOffset: 0, ipHeaderLength: 0, protocolNumber: 17,
      pieces: pieces.count..<pieces.count, segmentSize: 0, payloadLength: 0)
    channelNumber = channel
    return true
  }

  /// Adds the open run, for a kernel UDP socket, to the batch.
  public mutating func finishRun() {
    guard let run = openRun, run.datagramPath != nil else {
      preconditionFailure("no run for UDP is open")
    }
    add(run)
  }

  /// Adds a run that is complete but for its pieces.
  mutating func add(_ run: SegmentRun) {
    precondition(unsafe count < runStorage.count)
    var run = run
    run.pieces = run.pieces.lowerBound..<pieces.count
    unsafe runStorage[count] = run
    count &+= 1
    openRun = nil
  }

  /// Forgets the open run.
  public mutating func abandonRun() {
    guard let run = openRun else { return }
    pieces.removeLast(pieces.count &- run.pieces.lowerBound)
    openRun = nil
  }

  /// Adds a frame whose payload lies in the packet batch, but for the prefix in front of it, to the open
  /// run. False, and nothing done, where the batch is full.
  public mutating func appendFrame(
    _ header: FrameHeader, prefix: FramePrefix = .whole, payload: Range<Int>
  ) -> Bool {
    let length = FrameHeader.byteCount &+ prefix.byteCount
    guard let offset = reserve(length, pieces: 2) else { return false }
    store(header.encoded, at: offset)
    store(prefix, at: offset &+ FrameHeader.byteCount)
    addPiece(Piece(origin: .arena, offset: offset, length: length))
    if !payload.isEmpty {
      addPiece(Piece(origin: .packets, offset: payload.lowerBound, length: payload.count))
    }
    extendRun(by: length &+ payload.count)
    return true
  }

  /// Adds a frame whose payload is copied behind the prefix to the open run.
  public mutating func appendFrame(
    _ header: FrameHeader, prefix: FramePrefix = .whole, copying payload: RawSpan
  ) -> Bool {
    let start = FrameHeader.byteCount &+ prefix.byteCount
    let length = start &+ payload.byteCount
    guard let offset = reserve(length, pieces: 1) else { return false }
    store(header.encoded, at: offset)
    store(prefix, at: offset &+ FrameHeader.byteCount)
    copy(payload, to: offset &+ start)
    addPiece(Piece(origin: .arena, offset: offset, length: length))
    extendRun(by: length)
    return true
  }

  /// Adds a frame that is to be sealed, whose payload lies in the packet batch, but for the prefix in
  /// front of it, to the open run. Gives where to seal it, nil and nothing done where the batch is full.
  public mutating func appendSealed(
    _ type: FrameType, flow: UInt16, number: UInt32, prefix: FramePrefix = .whole,
    payload: Range<Int>
  ) -> SealedPlace? {
    guard let offset = reserve(SealedFrame.overhead &+ prefix.byteCount, pieces: 3) else {
      return nil
    }
    let body = offset &+ SealedFrame.headerByteCount
    let tag = body &+ prefix.byteCount
    storeHeader(
      type, flow: flow, number: number, payloadLength: prefix.byteCount &+ payload.count,
      at: offset)
    store(prefix, at: body)
    addPiece(Piece(origin: .arena, offset: offset, length: tag &- offset))
    if !payload.isEmpty {
      addPiece(Piece(origin: .packets, offset: payload.lowerBound, length: payload.count))
    }
    // The next frame's header will lie behind it, and be one piece with it.
    addPiece(Piece(origin: .arena, offset: tag, length: SealedFrame.tagByteCount))
    extendRun(by: SealedFrame.overhead &+ prefix.byteCount &+ payload.count)
    return SealedPlace(
      head: offset &+ SealedFrame.clearByteCount..<tag, body: payload,
      tag: tag..<tag &+ SealedFrame.tagByteCount)
  }

  /// Adds a frame that is to be sealed and whose payload is copied behind the prefix.
  public mutating func appendSealed(
    _ type: FrameType, flow: UInt16, number: UInt32, prefix: FramePrefix = .whole,
    copying payload: RawSpan
  ) -> SealedPlace? {
    let payloadLength = prefix.byteCount &+ payload.byteCount
    let length = SealedFrame.overhead &+ payloadLength
    guard let offset = reserve(length, pieces: 1) else { return nil }
    let body = offset &+ SealedFrame.headerByteCount
    let tag = body &+ payloadLength
    storeHeader(type, flow: flow, number: number, payloadLength: payloadLength, at: offset)
    store(prefix, at: body)
    copy(payload, to: body &+ prefix.byteCount)
    addPiece(Piece(origin: .arena, offset: offset, length: length))
    extendRun(by: length)
    return SealedPlace(
      head: offset &+ SealedFrame.clearByteCount..<tag, body: 0..<0,
      tag: tag..<tag &+ SealedFrame.tagByteCount)
  }

  /// Adds copied bytes to the open run.
  public mutating func append(copying bytes: RawSpan) -> Bool {
    guard let offset = reserve(bytes.byteCount, pieces: 1) else { return false }
    copy(bytes, to: offset)
    addPiece(Piece(origin: .arena, offset: offset, length: bytes.byteCount))
    extendRun(by: bytes.byteCount)
    return true
  }

  /// Makes the next frame go on in the newest segment of the open run; else it begins one.
  public mutating func joinSegment() { isJoining = true }

  /// Makes the open run's segments so large, in bytes of frames, since frames share them.
  public mutating func setSegmentSize(_ size: Int) {
    openRun?.segmentSize = size &+ (channelNumber == nil ? 0 : ChannelNumber.byteCount)
  }

  /// Writes the headers of the open run and adds it to the batch; both addresses are of the run's
  /// family, `flowLabel` is IPv6's, `identification` IPv4's. The TCP checksum field holds the
  /// pseudo-header's sum over the whole run: offload, or the raw socket, completes it.
  public mutating func finishRun(
    _ tcp: TCPHeader, from source: IPAddress, to destination: IPAddress,
    identification: UInt16, flowLabel: UInt32 = 0, options: RawSpan = RawSpan()
  ) {
    guard let run = openRun, run.isTCP else { preconditionFailure("no run is open") }
    let tcpOffset = run.ipHeaderLength
    let ipPayloadLength = TCPHeader.byteCount &+ options.byteCount &+ run.payloadLength
    var checksum = Checksum()
    checksum.addPseudoHeader(
      source: source, destination: destination, protocolNumber: 6, length: ipPayloadLength)
    let end = run.headerOffset &+ tcpOffset &+ TCPHeader.byteCount &+ options.byteCount
    var header = unsafe MutableRawSpan(
      _unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: arena[run.headerOffset..<end]))
    writeIPHeader(
      of: run, payloadLength: ipPayloadLength, from: source, to: destination, identification,
      flowLabel, into: &header)
    tcp.emit(
      into: &header, at: tcpOffset, optionLength: options.byteCount, checksum: checksum.partial)
    copy(options, to: end &- options.byteCount)
    add(run)
  }

  @inline(__always)
  func writeIPHeader(
    of run: SegmentRun, payloadLength: Int, from source: IPAddress, to destination: IPAddress,
    _ identification: UInt16, _ flowLabel: UInt32, into header: inout MutableRawSpan
  ) {
    if run.isIPv4 {
      IPv4Header(
        source: source, destination: destination, identification: identification,
        protocolNumber: run.protocolNumber, payloadLength: payloadLength
      ).emit(into: &header)
    } else {
      IPv6Header(
        source: source, destination: destination, flowLabel: flowLabel,
        nextHeader: run.protocolNumber, payloadLength: payloadLength
      ).emit(into: &header)
    }
  }

  private mutating func reserve(_ byteCount: Int, pieces pieceCount: Int) -> Int? {
    let number = isJoining ? nil : channelNumber
    isJoining = false
    numberLength = number == nil ? 0 : ChannelNumber.byteCount
    guard openRun != nil, pieces.room >= pieceCount,
      unsafe arenaUsed &+ numberLength &+ byteCount <= arena.count
    else { return nil }
    let start = arenaUsed
    arenaUsed &+= numberLength &+ byteCount
    // What follows in the arena joins this piece, so it takes no more room.
    if let number {
      unsafe arena.storeBytes(of: number.bigEndian, toByteOffset: start, as: UInt32.self)
      addPiece(Piece(origin: .arena, offset: start, length: numberLength))
    }
    return start &+ numberLength
  }

  private mutating func addPiece(_ piece: Piece) {
    pieces.append(piece, joiningFrom: openRun?.pieces.lowerBound ?? pieces.count)
  }

  private mutating func extendRun(by frameLength: Int) {
    let length = frameLength &+ numberLength
    if openRun?.segmentSize == 0 { openRun?.segmentSize = length }
    openRun?.payloadLength &+= length
  }

  private func store(_ header: UInt64, at offset: Int) {
    unsafe arena.storeBytes(of: header.bigEndian, toByteOffset: offset, as: UInt64.self)
  }

  @inline(__always)
  private func store(_ prefix: FramePrefix, at offset: Int) {
    guard prefix.byteCount > 0 else { return }
    guard prefix.byteCount == CopyHeader.byteCount else { return store(prefix.word, at: offset) }
    let word = UInt32(truncatingIfNeeded: prefix.word >> 32)
    unsafe arena.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt32.self)
  }

  private func storeHeader(
    _ type: FrameType, flow: UInt16, number: UInt32, payloadLength: Int, at offset: Int
  ) {
    let range = offset..<offset &+ SealedFrame.headerByteCount
    var header = unsafe MutableRawSpan(
      _unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: arena[range]))
    SealedFrame.emitHeader(
      type: type, flow: flow, number: number, payloadLength: payloadLength, into: &header)
  }

  private func copy(_ bytes: RawSpan, to offset: Int) {
    unsafe bytes.withUnsafeBytes {
      unsafe UnsafeMutableRawBufferPointer(rebasing: arena[offset...]).copyMemory(from: $0)
    }
  }
}
