// Channels on the kernel's UDP: how they open, how they find their channel again behind another address.
//
//   client                                                     server
//     knock    channel, hint, padding                   ──►    keeps nothing
//                               ◄──  token    channel, token   no longer than the knock
//     opening  channel, token, Hello …                  ──►    token valid: unconfirmed
//                               ◄──  answer   channel, Hello …
//     frames                                            ──►    the channel is confirmed
//
// The token does for UDP what the SYN cookie does for TCP (as Retry in QUIC, RFC 9000, section 8.1):
// it shows that the client is where it says, and that its first message is no old one.

public import Wire

/// What a channel on UDP keeps of its connection.
struct UDPConnection: Sendable {
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

/// Makes and checks the tokens of a server.
struct UDPToken: Sendable {
  private let key: SipHashKey

  init(key: SipHashKey) { self.key = key }

  /// The token for a channel at these addresses.
  func make(for tuple: FourTuple, channel: UInt32, at now: Instant) -> UInt64 {
    encode(tuple, channel, slot: Self.slot(at: now))
  }

  /// Whether a token was made for this channel at these addresses not long ago: a slot lasts as long as
  /// a cookie's, and the previous one is valid as well.
  func isValid(_ token: UInt64, for tuple: FourTuple, channel: UInt32, at now: Instant) -> Bool {
    let slot = Self.slot(at: now)
    return token == encode(tuple, channel, slot: slot)
      || token == encode(tuple, channel, slot: slot &- 1)
  }

  private static func slot(at now: Instant) -> UInt64 {
    UInt64(bitPattern: now.nanoseconds / SYNCookie.slotLength.wholeNanoseconds)
  }

  private func encode(_ tuple: FourTuple, _ channel: UInt32, slot: UInt64) -> UInt64 {
    // One word more than a SYN cookie, so no cookie tells of a token.
    sipHash(
      of: tuple,
      [
        UInt64(tuple.local.port) << 16 | UInt64(tuple.remote.port), UInt64(channel), slot,
        0x746F_6B65_6E,
      ], key: key)
  }
}

// Sending.
extension TunnelEngine {
  /// Sends a message without a channel's number in front.
  mutating func send(
    message bytes: [UInt8], on tuple: FourTuple, into segments: inout SegmentBatch
  ) {
    guard segments.beginRun(on: tuple, channel: nil) else { return counters.drop(.batchFull) }
    guard segments.append(copying: bytes.span.octets) else {
      segments.abandonRun()
      return counters.drop(.batchFull)
    }
    segments.finishRun()
  }

  /// Client: asks for a token. The padding hides what it is, and makes the token the shorter one.
  mutating func sendKnock(on index: Int, into segments: inout SegmentBatch, at now: Instant) {
    let hint = hint(on: index, at: now)
    let padding = (0..<40 + random.below(80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let content = (0..<4).map { UInt8(truncatingIfNeeded: hint >> (24 - 8 * $0)) } + padding
    let bytes = UDPMessage.bytes(.knock, channel: channels[index].id, content: content)
    send(message: bytes, on: channels[index].tuple, into: &segments)
  }

  /// A number for a new channel on UDP that no other one of this client has.
  mutating func drawChannelNumber() -> UInt32 {
    var number: UInt32
    repeat {
      number = UInt32(truncatingIfNeeded: random.next())
    } while !UDPSegment.isChannel(number) || byNumber[number] != nil
    return number
  }
}

// Receiving.
extension TunnelEngine {
  /// The datagrams of one slot: several where the kernel merged them.
  mutating func receiveDatagrams(
    _ slot: PacketSlot, of packets: inout PacketBatch, into datagrams: inout DatagramBatch,
    replies: inout SegmentBatch, at now: Instant
  ) {
    let tuple = FourTuple(local: slot.destination, remote: slot.source)
    let step = slot.segmentSize > 0 ? slot.segmentSize : max(slot.length, 1)
    var offset = slot.offset
    let end = slot.offset &+ slot.length
    repeat {
      let range = offset..<min(offset &+ step, end)
      receive(range, on: tuple, of: &packets, into: &datagrams, replies: &replies, at: now)
      offset = range.upperBound
    } while offset < end
  }

  private mutating func receive(
    _ range: Range<Int>, on tuple: FourTuple, of packets: inout PacketBatch,
    into datagrams: inout DatagramBatch, replies: inout SegmentBatch, at now: Instant
  ) {
    guard range.count > UDPSegment.headerByteCount else { return counters.drop(.malformed) }
    let number = packets.bytes(range).be32(at: 0)
    guard UDPSegment.isChannel(number) else {
      return receiveMessage(packets.bytes(range), on: tuple, into: &replies, at: now)
    }
    let frames = range.lowerBound &+ UDPSegment.headerByteCount..<range.upperBound
    guard let index = byNumber[number] else {
      return rejectDatagram(
        packets.bytes(frames), channel: number, on: tuple, into: &replies, at: now)
    }
    guard !channels[index].isDialling else { return counters.drop(.unknownChannel) }
    let isElsewhere = channels[index].tuple != tuple
    if isElsewhere {
      // A client's socket is connected, so only a server's peers move.
      guard listener != nil, channels[index].state != .unconfirmed else {
        return counters.drop(.unknownChannel)
      }
      channels[index].udp?.elsewhere = tuple
    }
    channels[index].received.count(segments: 1, bytes: frames.count)
    let end = receiveFrames(
      in: frames, of: &packets, on: index, into: &datagrams, replies: &replies, at: now)
    guard channels.contains(index) else { return }
    if isElsewhere { channels[index].udp?.elsewhere = nil }
    guard end > frames.lowerBound else { return }
    noteHeard(on: index, into: &replies, at: now)
    if isElsewhere, channels[index].tuple != tuple {
      noteElsewhere(tuple, on: index, received: range.count, into: &replies, at: now)
    }
    noteWear(of: index, into: &replies, at: now)
  }

  private mutating func receiveMessage(
    _ bytes: RawSpan, on tuple: FourTuple, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard let message = UDPMessage(parsing: bytes) else { return counters.drop(.malformed) }
    switch message.kind {
    case .knock, .opening:
      guard listener?.ports.contains(tuple.local.port) == true else {
        return counters.drop(.unknownChannel)
      }
      if message.kind == .knock {
        receiveKnock(message, on: tuple, into: &segments, at: now)
      } else {
        receiveOpening(message, on: tuple, into: &segments, at: now)
      }
    case .token, .answer, .unknown:
      guard dialer != nil, let index = byNumber[message.channel], channels[index].tuple == tuple
      else { return counters.drop(.unknownChannel) }
      clientReceive(message, on: index, into: &segments, at: now)
    }
  }

  /// Server: a segment of a channel that it does not have. With a key nobody is told: only its own
  /// clients could make use of that. Without one the client hears that the server was restarted.
  private mutating func rejectDatagram(
    _ frames: RawSpan, channel: UInt32, on tuple: FourTuple, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    counters.drop(.unknownChannel)
    guard listener?.keys.isEmpty == true, startsWithFrame(frames) else { return }
    guard listener?.resetLimiter.allows(tuple.remote.address, at: now) == true else {
      return counters.drop(.rateLimited)
    }
    send(message: UDPMessage.bytes(.unknown, channel: channel), on: tuple, into: &segments)
  }
}

// Opening, as the server sees it.
extension TunnelEngine {
  /// Gives a token to who asks, where a key's hint shows that it may; nothing is kept.
  private mutating func receiveKnock(
    _ message: borrowing UDPMessage, on tuple: FourTuple, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard message.content.byteCount >= UDPMessage.shortestKnock,
      UDPSegment.isChannel(message.channel)
    else { return counters.drop(.malformed) }
    sendToken(
      channel: message.channel, hint: message.content.be32(at: 0), on: tuple, into: &segments,
      at: now)
  }

  private mutating func sendToken(
    channel: UInt32, hint: UInt32, on tuple: FourTuple, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard knows(hint, at: now) else { return counters.drop(.unknownKey) }
    guard !isClosing, listener?.synLimiter.allows(tuple.remote.address, at: now) == true,
      let token = listener?.token.make(for: tuple, channel: channel, at: now)
    else { return counters.drop(.rateLimited) }
    let content = UDPMessage.bytes(ofToken: token)
    send(
      message: UDPMessage.bytes(.token, channel: channel, content: content), on: tuple,
      into: &segments)
  }

  /// Whether a key has this hint; without keys anyone is a client.
  private mutating func knows(_ hint: UInt32, at now: Instant) -> Bool {
    guard listener?.keys.isEmpty == false else { return true }
    let time = clock(at: now)
    return listener?.keys.matches(hint, at: time).isEmpty == false
  }

  private mutating func receiveOpening(
    _ message: borrowing UDPMessage, on tuple: FourTuple, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    let content = message.content
    guard content.byteCount >= UDPMessage.tokenByteCount + Hello.byteCount,
      UDPSegment.isChannel(message.channel)
    else { return counters.drop(.malformed) }
    let token = content.be64(at: 0)
    let first = content.extracting(UDPMessage.tokenByteCount..<content.byteCount)
    guard listener?.token.isValid(token, for: tuple, channel: message.channel, at: now) == true
    else {
      // It is of the past: another one is no longer than this message.
      return sendToken(
        channel: message.channel, hint: first.be32(at: 0), on: tuple, into: &segments, at: now)
    }
    if let index = byNumber[message.channel] {
      guard channels[index].tuple == tuple else { return counters.drop(.badHello) }
      // The client did not get our first message: the same bytes again, while they are kept.
      if channels[index].udp?.token == token { return sendHello(on: index, into: &segments) }
      guard channels[index].state == .unconfirmed else { return counters.drop(.badHello) }
      forgetUnconfirmed(index)
    }
    accept(first, token: token, channel: message.channel, on: tuple, into: &segments, at: now)
  }

  private mutating func accept(
    _ first: RawSpan, token: UInt64, channel: UInt32, on tuple: FourTuple,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    guard !isClosing else { return counters.drop(.unknownChannel) }
    let connection = UDPConnection(token: token)
    do throws(Refusal) {
      let message = try read(
        first, cookie: UInt32(truncatingIfNeeded: token), from: tuple, at: now)
      let hello = message.hello
      guard hello.channel == channel else { return counters.drop(.badHello) }
      answer(
        message, .udp(connection), peerSegmentSize: Int(hello.segmentSize), on: tuple,
        into: &segments, at: now)
    } catch {
      switch error {
      case .stranger(let reason): counters.drop(reason)
      case .excess: counters.drop(.handshakeLimit)
      }
    }
  }
}

// Opening, as the client sees it.
extension TunnelEngine {
  private mutating func clientReceive(
    _ message: borrowing UDPMessage, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    switch message.kind {
    case .token:
      guard message.content.byteCount >= UDPMessage.tokenByteCount else {
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
    guard channels[index].isDialling, channels[index].udp?.token != token else { return }
    channels[index].udp?.token = token
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
    guard channels.contains(index), channels[index].udp != nil else { return }
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
    let size = UDPSegment.headerByteCount + frameOverhead + 4
    guard received >= size, channels[index].state == .open else { return }
    if let since = channels[index].udp?.candidate?.since,
      now - since < UDPConnection.challengeInterval
    {
      return
    }
    let number = UInt64(channels[index].id) ^ random.next()
    let challenge = sipHash(of: tuple, [number, UInt64(bitPattern: now.nanoseconds)], key: secret)
    let candidate = UDPConnection.Candidate(
      tuple: tuple, challenge: UInt32(truncatingIfNeeded: challenge), since: now)
    channels[index].udp?.candidate = candidate
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
    guard let connection = channels[index].udp, let candidate = connection.candidate,
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
    channels[index].udp?.candidate = nil
    counters.channelsMoved &+= 1
    events.append(.channelMoved(channel: index, tuple))
    guard channels[index].state == .open else { return }
    sendProbe(on: index, into: &segments, at: now)
  }
}
