// A batch of datagrams on their way to an app or a target: views into the packets that they came
// in, and copies of those that came in pieces, grouped into runs that one UDP_SEGMENT send can carry.

/// One run: datagrams of one flow, all of `segmentSize` bytes but the last, which may be shorter.
public struct DatagramRun: Sendable {
  /// The engine's flow that they belong to.
  public var flow: Int
  /// The app's endpoint, where the flow has one (on the client).
  public var destination: Endpoint
  /// The datagrams, one piece each, in the packet batch or the arena.
  public var pieces: Range<Int>
  /// The size of each datagram but the last, in bytes; 0 for one empty datagram.
  public var segmentSize: Int
  /// Whether another datagram may join: false once a shorter one has.
  var isOpen: Bool
  var payloadLength: Int
}

/// A batch of datagrams on their way to an app or a target.
@safe public struct DatagramBatch: ~Copyable {
  /// The most datagrams in a run: `UDP_MAX_SEGMENTS` of kernels before 6.9.
  public static let runLimit = 64
  /// The most bytes in a run: the largest UDP payload over IPv4.
  public static let runPayloadLimit = 65_507

  private let runStorage: UnsafeMutableBufferPointer<DatagramRun>
  private let pieceStorage: UnsafeMutableBufferPointer<Piece>
  /// Copies of datagrams that lie in no packet as a whole.
  private let arena: UnsafeMutableRawBufferPointer
  private var pieceCount = 0
  private var arenaUsed = 0
  /// How many runs there are.
  public private(set) var count = 0

  /// An empty batch for up to `datagrams` datagrams, and copies of `arenaSize` bytes in all.
  public init(datagrams: Int, arenaSize: Int = 0) {
    unsafe runStorage = .allocate(capacity: datagrams)
    unsafe pieceStorage = .allocate(capacity: datagrams)
    unsafe arena = .allocate(byteCount: arenaSize, alignment: 64)
  }

  deinit {
    unsafe arena.deallocate()
    unsafe runStorage.deallocate()
    unsafe pieceStorage.deallocate()
  }

  /// Forgets all datagrams.
  public mutating func removeAll() {
    count = 0
    pieceCount = 0
    arenaUsed = 0
  }

  /// Run `index`.
  public subscript(index: Int) -> DatagramRun {
    precondition(index >= 0 && index < count)
    return unsafe runStorage[index]
  }

  /// Piece `index` of all runs: one datagram.
  public func piece(_ index: Int) -> Piece {
    precondition(index >= 0 && index < pieceCount)
    return unsafe pieceStorage[index]
  }

  /// The piece's bytes, in the arena or in `packets`.
  @_lifetime(borrow self, borrow packets)
  public func bytes(of piece: Piece, packets: borrowing PacketBatch) -> RawSpan {
    let range = piece.offset..<piece.offset &+ piece.length
    switch piece.origin {
    case .arena:
      let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(arena))
      return unsafe _overrideLifetime(span.extracting(range), borrowing: self)
    case .packets: return packets.bytes(range)
    }
  }

  /// Adds a datagram that lies at `payload` in the packet batch. False where the batch is full.
  public mutating func append(flow: Int, destination: Endpoint, payload: Range<Int>) -> Bool {
    append(
      Piece(origin: .packets, offset: payload.lowerBound, length: payload.count), flow: flow,
      destination: destination)
  }

  /// Adds a copy of a datagram. False, and nothing done, where the batch is full.
  public mutating func append(flow: Int, destination: Endpoint, copying payload: RawSpan) -> Bool {
    let piece = Piece(origin: .arena, offset: arenaUsed, length: payload.byteCount)
    guard unsafe payload.byteCount <= arena.count &- arenaUsed,
      append(piece, flow: flow, destination: destination)
    else { return false }
    unsafe payload.withUnsafeBytes {
      unsafe UnsafeMutableRawBufferPointer(rebasing: arena[arenaUsed...]).copyMemory(from: $0)
    }
    arenaUsed &+= payload.byteCount
    return true
  }

  private mutating func append(_ piece: Piece, flow: Int, destination: Endpoint) -> Bool {
    guard unsafe pieceCount < pieceStorage.count else { return false }
    unsafe pieceStorage[pieceCount] = piece
    pieceCount &+= 1
    // A copy of the pointer: see PieceList.
    let runs = unsafe runStorage
    if count > 0, unsafe joinLast(&runs[count &- 1], flow: flow, length: piece.length) {
      return true
    }
    unsafe runStorage[count] = DatagramRun(
      flow: flow, destination: destination, pieces: pieceCount &- 1..<pieceCount,
      segmentSize: piece.length, isOpen: piece.length > 0, payloadLength: piece.length)
    count &+= 1
    return true
  }

  /// Makes the newest piece part of `run` where it fits there.
  private func joinLast(_ run: inout DatagramRun, flow: Int, length: Int) -> Bool {
    guard run.isOpen, run.flow == flow, length > 0, length <= run.segmentSize,
      run.pieces.count < Self.runLimit, run.payloadLength &+ length <= Self.runPayloadLimit
    else { return false }
    run.pieces = run.pieces.lowerBound..<pieceCount
    run.payloadLength &+= length
    run.isOpen = length == run.segmentSize
    return true
  }
}
