// Connections whose first data does not authenticate. A server without a decoy resets them. One with a
// decoy gives them to its driver, which lets the kernel's TCP go on with them and shows them another
// service.
//
//   SYN ─► its options go into a fixed table, for the SYN-ACK keeps nothing of them
//   first data, not a client's ─► Event.stranger ─► the driver: `welcome`, or `turnAway`
//   more of that connection ─► ignored, it is the kernel's ─► the driver: `forget`

public import Wire

/// A connection that is to be shown another service, as a TCP has to know it to go on with it. Names as
/// in RFC 9293, section 3.3.1.
public struct Stranger: Hashable, Sendable {
  /// The most payload that is taken, in bytes; what is behind it is not acknowledged and comes again.
  static let payloadLimit = 16_384

  /// Who is connected to where.
  public let tuple: FourTuple
  /// SND.NXT: nothing was sent yet behind the SYN-ACK.
  public let sendNext: UInt32
  /// The sequence number of the first byte of `payload`.
  public let receiveNext: UInt32
  /// SND.WND in bytes.
  public let sendWindow: Int
  /// The window that goes with the acknowledgment of `payload`, in bytes.
  public let receiveWindow: Int
  /// The shift count of the windows that the stranger advertises.
  public let sendScale: UInt8
  /// The shift count of the windows that we advertise.
  public let receiveScale: UInt8
  /// The stranger's MSS, or a little less.
  public let maximumSegmentSize: UInt16
  /// Whether both sides understand selective acknowledgments.
  public let permitsSelectiveAcknowledgment: Bool
  /// The data that has come.
  public private(set) var payload: [UInt8] = []

  fileprivate init(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, options: SYNOptions,
    maximumSegmentSize: UInt16
  ) {
    self.tuple = tuple
    sendNext = segment.acknowledgment
    receiveNext = segment.sequence
    sendScale = options.windowScale ?? 0
    receiveScale = options.windowScale == nil ? 0 : TCPProfile.windowScale
    sendWindow = Int(segment.window) << Int(sendScale)
    // Rounded up as a kernel does, so that its right edge never moves back.
    let unit = 1 << Int(receiveScale)
    receiveWindow =
      (Int(TCPProfile.handshakeWindow(isIPv4: tuple.isIPv4)) + unit - 1) / unit * unit
    self.maximumSegmentSize = maximumSegmentSize
    permitsSelectiveAcknowledgment = options.permitsSelectiveAcknowledgment
    append(segment)
  }

  /// The sequence number behind `payload`.
  fileprivate var end: UInt32 { receiveNext &+ UInt32(truncatingIfNeeded: payload.count) }

  /// Takes the payload of a segment that goes on where `payload` ends.
  fileprivate mutating func append(_ segment: borrowing TCPSegment) {
    guard segment.sequence == end else { return }
    for offset in 0..<min(segment.payload.byteCount, Self.payloadLimit - payload.count) {
      payload.append(segment.payload.byte(at: offset))
    }
  }
}

/// What a SYN had to say that its cookie has no room for.
struct SYNOptions: Sendable {
  /// Nil where windows are not scaled.
  var windowScale: UInt8?
  var permitsSelectiveAcknowledgment: Bool

  /// What most SYNs say: taken for one that is not known any more.
  static let usual = SYNOptions(windowScale: 7, permitsSelectiveAcknowledgment: true)
}

/// What a server with a decoy knows of strangers. All of it is bounded: a flood of SYNs overwrites the
/// table, whose entries are only good for a better guess.
struct Strangers: Sendable {
  private struct Entry {
    var cookie: UInt32 = 0
    var clientISN: UInt32 = 0
    var options = SYNOptions.usual
  }

  private static let tableSize = 4096
  private let limit: Int
  private var table = [Entry](repeating: Entry(), count: tableSize)
  /// The connections that are shown the decoy.
  private var tuples: Set<FourTuple> = []
  /// New ones of all, and of one network.
  private var rate: RateLimiter
  private var networkRate: RateLimiter

  init(limit: Int, secret: SipHashKey) {
    self.limit = limit
    rate = RateLimiter(perSecond: 200, burst: 256, key: secret)
    networkRate = RateLimiter(perSecond: 50, burst: 100, key: secret)
  }

  func contains(_ tuple: FourTuple) -> Bool { tuples.contains(tuple) }

  /// Takes note of a SYN that was answered with this cookie, whose low bits are a keyed hash.
  mutating func note(_ options: TCPOptions, cookie: UInt32, clientISN: UInt32) {
    let known = SYNOptions(
      windowScale: options.windowScale,
      permitsSelectiveAcknowledgment: options.permitsSelectiveAcknowledgment)
    table[Self.place(of: cookie)] = Entry(cookie: cookie, clientISN: clientISN, options: known)
  }

  private static func place(of cookie: UInt32) -> Int { Int(cookie) % tableSize }

  private func entry(of cookie: UInt32) -> Entry? {
    let entry = table[Self.place(of: cookie)]
    return entry.cookie == cookie ? entry : nil
  }

  /// The options of the SYN that was answered with this cookie; they are needed once.
  mutating func takeOptions(cookie: UInt32) -> SYNOptions {
    guard let entry = entry(of: cookie) else { return .usual }
    table[Self.place(of: cookie)] = Entry()
    return entry.options
  }

  func clientISN(cookie: UInt32) -> UInt32? { entry(of: cookie)?.clientISN }

  /// Takes in one more, where there is room; it may not be in already.
  mutating func insert(_ tuple: FourTuple, at now: Instant) -> Bool {
    guard tuples.count < limit, networkRate.allows(tuple.remote.address, at: now),
      rate.allows(.any, at: now)
    else { return false }
    return tuples.insert(tuple).inserted
  }

  mutating func remove(_ tuple: FourTuple) { tuples.remove(tuple) }
}

extension TunnelEngine {
  /// The driver has what it needs to go on with the connection: its data is acknowledged.
  public mutating func welcome(_ stranger: Stranger, into segments: inout SegmentBatch) {
    let tuple = stranger.tuple
    guard segments.beginRun(channel: nil, family: stranger.tuple.family) else {
      return counters.drop(.batchFull)
    }
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
      sequence: stranger.sendNext, acknowledgment: stranger.end, flags: .ack,
      window: UInt16(stranger.receiveWindow >> Int(stranger.receiveScale)))
    segments.finishRun(
      header, from: tuple.local.address, to: tuple.remote.address,
      identification: UInt16(truncatingIfNeeded: random.next()),
      flowLabel: flowLabel(for: tuple, key: secret))
  }

  /// The driver cannot go on with the connection: it is reset.
  public mutating func turnAway(_ stranger: Stranger, into segments: inout SegmentBatch) {
    forget(stranger.tuple)
    guard segments.beginRun(channel: nil, family: stranger.tuple.family) else {
      return counters.drop(.batchFull)
    }
    let tuple = stranger.tuple
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
      sequence: stranger.sendNext, acknowledgment: 0, flags: .rst, window: 0)
    finishStray(header, on: tuple, into: &segments)
  }

  /// A stranger's connection ended: what comes on its four-tuple is new.
  public mutating func forget(_ tuple: FourTuple) { listener?.strangers?.remove(tuple) }

  /// Takes in a connection whose first data, in `segment`, does not authenticate; false where the
  /// stranger is to be turned away: there is no decoy, or no room, or the four-tuple is a channel's.
  mutating func takeIn(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, maximumSegmentSize: UInt16,
    at now: Instant
  ) -> Bool {
    guard listener?.strangers != nil, byTuple[tuple] == nil, unconfirmed[Place(.tcp, tuple)] == nil
    else {
      return false
    }
    guard listener?.strangers?.insert(tuple, at: now) == true,
      let options = listener?.strangers?.takeOptions(cookie: segment.acknowledgment &- 1)
    else {
      counters.drop(.strangerLimit)
      return false
    }
    events.append(
      .stranger(
        Stranger(segment, on: tuple, options: options, maximumSegmentSize: maximumSegmentSize)))
    return true
  }

  /// More of a stranger's connection: the kernel's, but for what came right behind the first segment
  /// and before the driver heard of it.
  mutating func receiveMore(_ segment: borrowing TCPSegment, on tuple: FourTuple) {
    guard segment.flags.isDisjoint(with: [.syn, .rst]) else { return }
    for place in events.indices {
      guard case .stranger(var stranger) = events[place], stranger.tuple == tuple else { continue }
      stranger.append(segment)
      events[place] = .stranger(stranger)
    }
  }

  /// Whether data on an unknown connection belongs behind a first segment that has not come: lost, or
  /// overtaken. It is not answered, for it comes again.
  func isAhead(_ segment: borrowing TCPSegment, on tuple: FourTuple, at now: Instant) -> Bool {
    let cookie = segment.acknowledgment &- 1
    guard let clientISN = listener?.strangers?.clientISN(cookie: cookie),
      listener?.cookie.validate(cookie, for: tuple, clientISN: clientISN, at: now) != nil
    else { return false }
    let distance = segment.sequence.sequenceDistance(from: clientISN &+ 1)
    return (1..<Int(TCPProfile.handshakeWindow(isIPv4: tuple.isIPv4))).contains(distance)
  }
}
