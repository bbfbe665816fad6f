// Channels that are found by a number, those on UDP and on ICMP: how they open, how they are found again
// behind another address.
//
//   client                                                     server
//     knock    channel, hint, padding                   ──►    keeps nothing
//                               ◄──  token    channel, token   no longer than the knock
//     opening  channel, token, Hello …                  ──►    token valid: unconfirmed
//                               ◄──  answer   channel, Hello …
//     frames                                            ──►    the channel is confirmed
//
// The token does here what the SYN cookie does for TCP (as Retry in QUIC, RFC 9000, section 8.1):
// it shows that the client is where it says, and that its first message is no old one.

public import Wire

/// What a channel that has a number keeps of its connection.
struct NumberedConnection: Sendable {
  /// Where a frame came from that is not the channel's place.
  struct Candidate: Sendable {
    let tuple: FourTuple
    /// What a probe to there carries, and only an answer from there can bring back.
    let challenge: UInt32
    let since: Instant
  }

  /// How often another place is asked, at most.
  static let challengeInterval = Duration.milliseconds(250)

  /// What shows the server that the client gets what is sent to it.
  var token: UInt64 = 0
  var hasSentClose = false
  /// Where the packet at hand came from, where that is not the channel's place.
  var elsewhere: FourTuple?
  /// Server: where the client may be now.
  var candidate: Candidate?
}

/// Where a segment came from, and what an answer to it needs: the server's carrier and place may be any.
struct Origin {
  let carrier: Carrier
  let tuple: FourTuple
  /// The number of a request, which a reply repeats; 0 on UDP.
  let sequence: UInt16

  init(_ carrier: Carrier, _ tuple: FourTuple, sequence: UInt16 = 0) {
    self.carrier = carrier
    self.tuple = tuple
    self.sequence = sequence
  }
}

// Sending.
extension TunnelEngine {
  /// Sends a message on a channel, without its number in front.
  mutating func send(message bytes: [UInt8], on index: Int, into segments: inout SegmentBatch) {
    let sequence = channels[index].echo?.take(ofClient: dialer != nil) ?? 0
    send(
      message: bytes, to: Origin(channels[index].kind, channels[index].tuple, sequence: sequence),
      into: &segments)
  }

  /// Sends a message to where another one came from.
  mutating func send(
    message bytes: [UInt8], to origin: Origin, into segments: inout SegmentBatch
  ) {
    let isICMP = origin.carrier == .icmp
    guard
      isICMP
        ? segments.beginEcho(channel: nil, number: nil, family: origin.tuple.family)
        : segments.beginRun(on: origin.tuple, channel: nil)
    else { return counters.drop(.batchFull) }
    guard segments.append(copying: bytes.span.octets) else {
      segments.abandonRun()
      return counters.drop(.batchFull)
    }
    if isICMP {
      finishEcho(
        to: origin, identification: 0, flowLabel: flowLabel(for: origin.tuple, key: secret),
        into: &segments)
    } else {
      segments.finishRun()
    }
  }

  /// Client: asks for a token. The padding hides what it is, and makes the token the shorter one.
  mutating func sendKnock(on index: Int, into segments: inout SegmentBatch, at now: Instant) {
    let hint = hint(on: index, at: now)
    let padding = (0..<40 + random.below(80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let content = (0..<4).map { UInt8(truncatingIfNeeded: hint >> (24 - 8 * $0)) } + padding
    let bytes = ChannelMessage.bytes(.knock, channel: channels[index].id, content: content)
    send(message: bytes, on: index, into: &segments)
  }

  /// A number for a new channel that no other one of this client has.
  mutating func drawChannelNumber() -> UInt32 {
    var number: UInt32
    repeat {
      number = UInt32(truncatingIfNeeded: random.next())
    } while !ChannelNumber.isValid(number) || byNumber[number] != nil
    return number
  }
}

// Receiving.
extension TunnelEngine {
  /// What one segment carries, behind the headers of its carrier.
  mutating func receive(
    _ range: Range<Int>, from origin: Origin, of packets: inout PacketBatch,
    into datagrams: inout DatagramBatch, replies: inout SegmentBatch, at now: Instant
  ) {
    let tuple = origin.tuple
    guard range.count > ChannelNumber.byteCount else { return counters.drop(.malformed) }
    let number = packets.bytes(range).be32(at: 0)
    guard ChannelNumber.isValid(number) else {
      return receiveMessage(packets.bytes(range), from: origin, into: &replies, at: now)
    }
    let frames = range.lowerBound &+ ChannelNumber.byteCount..<range.upperBound
    guard let index = byNumber[number], channels[index].kind == origin.carrier else {
      return reject(
        packets.bytes(frames), channel: number, from: origin, into: &replies, at: now)
    }
    guard !channels[index].isDialling else { return counters.drop(.unknownChannel) }
    let isElsewhere = channels[index].tuple != tuple
    if isElsewhere {
      // Only a server's peers move.
      guard listener != nil, channels[index].state != .unconfirmed else {
        return counters.drop(.unknownChannel)
      }
      channels[index].numbered?.elsewhere = tuple
    }
    channels[index].received.count(segments: 1, bytes: frames.count)
    let end = receiveFrames(
      in: frames, of: &packets, on: index, into: &datagrams, replies: &replies, at: now)
    guard channels.contains(index) else { return }
    if isElsewhere { channels[index].numbered?.elsewhere = nil }
    guard end > frames.lowerBound else { return }
    if dialer == nil { channels[index].echo?.sequence = origin.sequence }
    // What is sent on a cold channel would go to where the client was before a NAT forgot it.
    let isLost = isElsewhere && channels[index].tuple != tuple
    if !isLost || channels[index].liveness.health != .cold {
      noteHeard(on: index, into: &replies, at: now)
    }
    if isLost {
      noteElsewhere(tuple, on: index, received: range.count, into: &replies, at: now)
    }
    noteWear(of: index, into: &replies, at: now)
  }

  private mutating func receiveMessage(
    _ bytes: RawSpan, from origin: Origin, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard let message = ChannelMessage(parsing: bytes) else { return counters.drop(.malformed) }
    switch message.kind {
    case .knock, .opening:
      guard listener != nil,
        !origin.carrier.hasPorts || listener?.ports.contains(origin.tuple.local.port) == true
      else { return counters.drop(.unknownChannel) }
      if message.kind == .knock {
        receiveKnock(message, from: origin, into: &segments, at: now)
      } else {
        receiveOpening(message, from: origin, into: &segments, at: now)
      }
    case .token, .answer, .unknown:
      guard dialer != nil, let index = byNumber[message.channel],
        channels[index].kind == origin.carrier, channels[index].tuple == origin.tuple
      else { return counters.drop(.unknownChannel) }
      clientReceive(message, on: index, into: &segments, at: now)
    }
  }

  /// Server: a segment of a channel that it does not have. With a key nobody is told: only its own
  /// clients could make use of that. Without one the client hears that the server was restarted.
  private mutating func reject(
    _ frames: RawSpan, channel: UInt32, from origin: Origin, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    counters.drop(.unknownChannel)
    guard listener?.keys.isEmpty == true, startsWithFrame(frames) else { return }
    guard listener?.resetLimiter.allows(origin.tuple.remote.address, at: now) == true else {
      return counters.drop(.rateLimited)
    }
    send(message: ChannelMessage.bytes(.unknown, channel: channel), to: origin, into: &segments)
  }
}

// Opening, as the server sees it.
extension TunnelEngine {
  /// Gives a token to who asks, where a key's hint shows that it may; nothing is kept.
  private mutating func receiveKnock(
    _ message: borrowing ChannelMessage, from origin: Origin, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard message.content.byteCount >= ChannelMessage.shortestKnock,
      ChannelNumber.isValid(message.channel)
    else { return counters.drop(.malformed) }
    sendToken(
      channel: message.channel, hint: message.content.be32(at: 0), to: origin, into: &segments,
      at: now)
  }

  private mutating func sendToken(
    channel: UInt32, hint: UInt32, to origin: Origin, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    let tuple = origin.tuple
    guard knows(hint, at: now) else { return counters.drop(.unknownKey) }
    guard !isClosing, listener?.synLimiter.allows(tuple.remote.address, at: now) == true,
      let token = listener?.token.make(for: tuple, channel: channel, at: now)
    else { return counters.drop(.rateLimited) }
    let content = ChannelMessage.bytes(ofToken: token)
    send(
      message: ChannelMessage.bytes(.token, channel: channel, content: content), to: origin,
      into: &segments)
  }

  /// Whether a key has this hint; without keys anyone is a client.
  private mutating func knows(_ hint: UInt32, at now: Instant) -> Bool {
    guard listener?.keys.isEmpty == false else { return true }
    let time = clock(at: now)
    return listener?.keys.matches(hint, at: time).isEmpty == false
  }

  private mutating func receiveOpening(
    _ message: borrowing ChannelMessage, from origin: Origin, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    let tuple = origin.tuple
    let content = message.content
    guard content.byteCount >= ChannelMessage.tokenByteCount + Hello.byteCount,
      ChannelNumber.isValid(message.channel)
    else { return counters.drop(.malformed) }
    let token = content.be64(at: 0)
    let first = content.extracting(ChannelMessage.tokenByteCount..<content.byteCount)
    guard listener?.token.isValid(token, for: tuple, channel: message.channel, at: now) == true
    else {
      // It is of the past: another one is no longer than this message.
      return sendToken(
        channel: message.channel, hint: first.be32(at: 0), to: origin, into: &segments, at: now)
    }
    if let index = byNumber[message.channel] {
      guard channels[index].kind == origin.carrier, channels[index].tuple == tuple else {
        return counters.drop(.badHello)
      }
      // The client did not get our first message: the same bytes again, while they are kept.
      channels[index].echo?.sequence = origin.sequence
      if channels[index].numbered?.token == token { return sendHello(on: index, into: &segments) }
      guard channels[index].state == .unconfirmed else { return counters.drop(.badHello) }
      forgetUnconfirmed(index)
    }
    accept(first, token: token, channel: message.channel, from: origin, into: &segments, at: now)
  }

  private mutating func accept(
    _ first: RawSpan, token: UInt64, channel: UInt32, from origin: Origin,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    guard !isClosing else { return counters.drop(.unknownChannel) }
    let tuple = origin.tuple
    let connection = NumberedConnection(token: token)
    do throws(Refusal) {
      let message = try read(
        first, cookie: UInt32(truncatingIfNeeded: token), from: tuple, at: now)
      let hello = message.hello
      guard hello.channel == channel else { return counters.drop(.badHello) }
      answer(
        message, state(of: connection, from: origin), peerSegmentSize: Int(hello.segmentSize),
        on: tuple, into: &segments, at: now)
    } catch {
      switch error {
      case .stranger(let reason): counters.drop(reason)
      case .excess: counters.drop(.handshakeLimit)
      }
    }
  }

  /// The state of a channel that opens with this message.
  private mutating func state(
    of connection: NumberedConnection, from origin: Origin
  ) -> CarrierState {
    guard origin.carrier == .icmp else { return .udp(connection) }
    return .icmp(
      connection,
      EchoConnection(
        sequence: origin.sequence, identification: UInt16(truncatingIfNeeded: random.next())))
  }
}

// Opening, as the client sees it.
extension TunnelEngine {
  private mutating func clientReceive(
    _ message: borrowing ChannelMessage, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    switch message.kind {
    case .token:
      guard message.content.byteCount >= ChannelMessage.tokenByteCount else {
        return counters.drop(.malformed)
      }
      receiveToken(message.content.be64(at: 0), on: index, into: &segments, at: now)
    case .answer:
      guard channels[index].state == .helloSent else { return }
      guard let hello = readAnswer(message.content, on: index, at: now) else { return }
      channels[index].peerSegmentSize = Int(hello.segmentSize)
      channelOpened(index, into: &segments, at: now)
    case .unknown: heedHint(on: index, into: &segments, at: now)
    case .knock, .opening: counters.drop(.malformed)
    }
  }

  private mutating func receiveToken(
    _ token: UInt64, on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard channels[index].isDialling, channels[index].numbered?.token != token else { return }
    channels[index].numbered?.token = token
    if channels[index].state == .synSent {
      channels[index].liveness.measuredAtMost(now - channels[index].liveness.lastHeard)
      channels[index].state = .helloSent
      channels[index].attempts = 0
    } else if channels[index].attempts >= 4 {
      // Who can send tokens of its own may hold this attempt up, not make it send for ever.
      return
    }
    writeFirstMessage(on: index, at: now)
    sendHello(on: index, into: &segments)
    retryLater(index, at: now)
  }

  /// The driver was told by ICMP that nothing listens where the channel's segments go (ECONNREFUSED),
  /// or the server that it does not know the channel. Anyone could have said so: a reason to ask.
  public mutating func noteRefusal(
    channel index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard channels.contains(index), channels[index].numbered != nil else { return }
    heedHint(on: index, into: &segments, at: now)
  }
}

// A NAT forgot its mapping, so the client's segments come from another place.
extension TunnelEngine {
  /// A valid frame came from another place. It may be a copy, so a probe to there has to be answered
  /// first; it is never larger than what drew it.
  private mutating func noteElsewhere(
    _ tuple: FourTuple, on index: Int, received: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    let size = ChannelNumber.byteCount + frameOverhead + 4
    guard received >= size, channels[index].state == .open else { return }
    if let since = channels[index].numbered?.candidate?.since,
      now - since < NumberedConnection.challengeInterval
    {
      return
    }
    let number = UInt64(channels[index].id) ^ random.next()
    let challenge = sipHash(of: tuple, [number, UInt64(bitPattern: now.nanoseconds)], key: secret)
    let candidate = NumberedConnection.Candidate(
      tuple: tuple, challenge: UInt32(truncatingIfNeeded: challenge), since: now)
    channels[index].numbered?.candidate = candidate
    let payload: InlineArray<1, UInt32> = [candidate.challenge.bigEndian]
    let place = channels[index].tuple
    channels[index].tuple = tuple
    sendFrame(.probe, payload.span.octets, on: index, into: &segments, at: now)
    channels[index].tuple = place
  }

  /// Whether an answer is the one that was asked for from another place; the client is there then.
  mutating func isFromCandidate(
    _ payload: RawSpan, on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) -> Bool {
    guard let connection = channels[index].numbered, let candidate = connection.candidate,
      connection.elsewhere == candidate.tuple, payload.byteCount >= 4,
      payload.be32(at: 0) == candidate.challenge
    else { return false }
    move(index, to: candidate.tuple, into: &segments, at: now)
    return true
  }

  private mutating func move(
    _ index: Int, to tuple: FourTuple, into segments: inout SegmentBatch, at now: Instant
  ) {
    channels[index].tuple = tuple
    channels[index].numbered?.candidate = nil
    counters.channelsMoved &+= 1
    events.append(.channelMoved(channel: index, tuple))
    guard channels[index].state == .open else { return }
    sendProbe(on: index, into: &segments, at: now)
  }
}
