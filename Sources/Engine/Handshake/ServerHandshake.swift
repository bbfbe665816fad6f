// The opening of a channel as the server sees it: a first payload with a valid cookie and a valid
// Hello is answered; the first frame behind it makes it a channel of its session.
//
//   Hello ──► cookie ─► hint ─► limits ─► key exchange ─► fresh, not seen ─► answer, `unconfirmed`
//   frame ──► opens ─► session ─► `open`

internal import Crypto
internal import Wire

/// A client's first message.
struct ClientHello: ~Copyable {
  let hello: Hello
  let claim: SessionClaim
  /// The key exchange, to be answered; nil without a key.
  var exchange: NoiseHandshake?
}

/// Why a first payload opens no channel.
enum Refusal: Error {
  /// It is a stranger's, who is shown the decoy, or answered as by a kernel.
  case stranger(DropReason)
  /// It is not answered: there are too many.
  case excess
}

extension TunnelEngine {
  /// A first payload.
  mutating func accept(
    _ segment: borrowing TCPSegment, on tuple: FourTuple, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard !isClosing else { return counters.drop(.unknownChannel) }
    guard
      let mss = listener?.cookie.validate(
        segment.acknowledgment &- 1, for: tuple, clientISN: segment.sequence &- 1, at: now)
    else {
      if isAhead(segment, on: tuple, at: now) { return counters.drop(.unknownChannel) }
      return reject(segment, on: tuple, as: .badHello, into: &segments, at: now)
    }
    do throws(Refusal) {
      guard let content = HandshakeRecord.content(of: segment.payload) else {
        throw .stranger(.badHello)
      }
      let message = try read(content, cookie: segment.acknowledgment &- 1, from: tuple, at: now)
      let hello = message.hello
      answer(
        message, .tcp(connection(segment, hello, mss: mss)),
        peerSegmentSize: Int(
          min(mss, hello.segmentSize, hello.observed.maximumSegmentSize ?? .max)),
        on: tuple, into: &segments, at: now)
    } catch {
      switch error {
      case .stranger(let reason):
        if takeIn(segment, on: tuple, maximumSegmentSize: mss, at: now) {
          counters.drop(reason)
        } else {
          reject(segment, on: tuple, as: reason, into: &segments, at: now)
        }
      case .excess: counters.drop(.handshakeLimit)
      }
    }
  }

  mutating func read(
    _ content: RawSpan, cookie: UInt32, from tuple: FourTuple, at now: Instant
  ) throws(Refusal) -> ClientHello {
    guard listener?.keys.isEmpty == false else {
      guard let hello = Hello(parsing: content) else { throw .stranger(.badHello) }
      guard listener?.networkHandshakes.allows(tuple.remote.address, at: now) == true,
        listener?.handshakes.allows(.any, at: now) == true
      else { throw .excess }
      return ClientHello(
        hello: hello,
        claim: SessionClaim(
          id: hello.session, keyName: nil, schedule: Schedule(hello.flags)), exchange: nil)
    }
    let shortest =
      FirstMessage.preambleByteCount + NoiseHandshake.overhead + Hello.byteCount
      + HelloSupplement.byteCount
    guard content.byteCount >= shortest, let suite = FirstMessage.suite(of: content.byte(at: 4))
    else { throw .stranger(.badHello) }
    let time = clock(at: now)
    let matches = listener?.keys.matches(content.be32(at: 0), at: time) ?? []
    guard !matches.isEmpty else { throw .stranger(.unknownKey) }
    // What only looks as if it had a key costs its own network's share, not that of all.
    guard listener?.networkHandshakes.allows(tuple.remote.address, at: now) == true else {
      throw .excess
    }
    for match in matches {
      guard let message = try open(content, suite, match, cookie: cookie, at: now) else { continue }
      guard listener?.handshakes.allows(.any, at: now) == true else { throw .excess }
      return message
    }
    throw .stranger(.badHandshake)
  }

  /// Opens a first message by one key; nil where it was made with another one.
  private mutating func open(
    _ content: RawSpan, _ suite: CipherSuite, _ match: KeyRing.Match, cookie: UInt32,
    at now: Instant
  ) throws(Refusal) -> ClientHello? {
    let preamble = content.extracting(0..<FirstMessage.preambleByteCount)
    let prologue = FirstMessage.prologue(preamble: preamble)
    var exchange = NoiseHandshake(
      .responder, suite: suite, prologue: prologue.span.octets, preSharedKey: match.key)
    let message = content.extracting(FirstMessage.preambleByteCount..<content.byteCount)
    guard let payload = exchange.readMessage(message) else { return nil }
    guard let hello = Hello(parsing: payload.span.octets),
      let supplement = HelloSupplement(parsingBehindHello: payload.span.octets)
    else { throw .stranger(.badHello) }
    guard isFresh(supplement, cookie: cookie, lacksClock: match.lacksClock, at: now) else {
      throw .stranger(.staleHandshake)
    }
    // The ephemeral public key is random: its first bytes name the message.
    guard listener?.replays.insert(message.be64(at: 0), at: now) == true else {
      throw .stranger(.repeatedHandshake)
    }
    if let session = bySession[hello.session], sessions[session].keyName != match.name {
      throw .stranger(.badHandshake)
    }
    return ClientHello(
      hello: hello,
      claim: SessionClaim(
        id: hello.session, keyName: match.name, schedule: Schedule(hello.flags)),
      exchange: exchange)
  }

  /// Whether a first message was made just now. It was where it repeats the cookie that this server
  /// made of this connection's SYN. Where a firewall on the way changes sequence numbers it cannot,
  /// and its clock has to be right; then those from before this server's start are too old, because
  /// it cannot know which it has seen.
  private func isFresh(
    _ supplement: HelloSupplement, cookie: UInt32, lacksClock: Bool, at now: Instant
  ) -> Bool {
    if supplement.cookie == cookie { return true }
    guard !lacksClock else { return false }
    let tolerance = UInt64(ReplayCache.clockTolerance.wholeNanoseconds / 1_000_000)
    let time = clock(at: now)
    let difference = max(time, supplement.time) - min(time, supplement.time)
    return difference <= tolerance && supplement.time > clock(at: startedAt) &+ tolerance
  }

  /// Answers a valid first message; nothing is kept where the two sides do not agree. `carrier` is what
  /// the channel will have, `peerSegmentSize` what the client's end of it can receive.
  mutating func answer(
    _ message: consuming ClientHello, _ carrier: CarrierState, peerSegmentSize: Int,
    on tuple: FourTuple, into segments: inout SegmentBatch, at now: Instant
  ) {
    let (hello, claim) = (message.hello, message.claim)
    let agreement = CipherAgreement(cipherFlags, hello.flags)
    if hello.version != configuration.version {
      tellVersion(hello.version, of: tuple.remote)
    } else if claim.keyName != nil, agreement == nil {
      tellCipher(of: tuple.remote)
    } else {
      let path = interfacePath(tuple.local.address)
      let channel = Channel(
        tuple: tuple, id: hello.channel, session: Channel.noSession, claim: claim, slot: 0,
        state: .unconfirmed, carrier: carrier, flowLabel: flowLabel(for: tuple, key: secret),
        path: path, peerSegmentSize: peerSegmentSize,
        allowance: Allowance(hello.budget, mtu: path.mtu, isClient: false), at: now)
      return open(channel, agreement ?? .plain, message, into: &segments, at: now)
    }
    // The client learns of it from our own Hello.
    let answer = self.hello(
      carrier, path: interfacePath(tuple.local.address), isIPv4: tuple.isIPv4,
      channel: hello.channel, session: hello.session)
    let (payload, _) = write(answer, to: message, on: tuple, at: now)
    sendStray(
      carrier.firstMessage(payload, channel: hello.channel, ofClient: false), carrier, on: tuple,
      into: &segments)
  }

  /// The content of our own first message, and the keys that the exchange ends in.
  private mutating func write(
    _ hello: Hello, to message: consuming ClientHello, on tuple: FourTuple, at now: Instant
  ) -> ([UInt8], ChannelKeys?) {
    guard var exchange = message.exchange.take() else {
      return (hello.bytes, nil)
    }
    let token = listener?.keys.resetToken(for: tuple) ?? ResetToken(high: 0, low: 0)
    let supplement = HelloSupplement(time: clock(at: now), resetToken: token)
    let payload = hello.bytes + supplement.bytes
    guard
      let answer = exchange.writeMessage(
        ephemeral: keyStream.nextKey(), payload: payload.span.octets)
    else { return ([], nil) }
    let keys = exchange.split()
    return (
      answer,
      ChannelKeys(sealing: keys.serverToClient, opening: keys.clientToServer)
    )
  }

  /// Keeps a channel that waits to be confirmed, and answers.
  private mutating func open(
    _ channel: consuming Channel, _ agreement: CipherAgreement, _ message: consuming ClientHello,
    into segments: inout SegmentBatch, at now: Instant
  ) {
    let tuple = channel.tuple
    let hello = hello(
      channel.carrier, path: channel.path, isIPv4: tuple.isIPv4, channel: channel.id,
      session: message.claim.id)
    let (content, keys) = write(hello, to: message, on: tuple, at: now)
    guard !content.isEmpty else { return counters.drop(.badHandshake) }
    channel.firstMessage = channel.carrier.firstMessage(
      content, channel: channel.id, ofClient: false)
    if case .sealed(let suite) = agreement, let keys {
      channel.cipher = FrameCipher(suite, keys: keys)
    }
    let place = Place(channel.kind, tuple)
    if let previous = unconfirmed[place] { forgetUnconfirmed(previous) }
    makeRoomForUnconfirmed()
    let index = channels.insert(channel)
    unconfirmed[place] = index
    // A segment finds it by its number at once; on TCP another one may hold the four-tuple.
    if channels[index].numbered != nil { list(index) }
    channels[index].retryAt = now + Self.confirmationTime
    reschedule(index, at: now)
    sendHello(on: index, into: &segments)
  }

  /// The connection that a first message opens.
  private mutating func connection(
    _ segment: borrowing TCPSegment, _ hello: Hello, mss: UInt16
  ) -> TCPConnection {
    // The client's scale is a constant of the profile; its Hello says whether ours survived the way.
    let scale = hello.observed.windowScale == nil ? nil : TCPProfile.windowScale
    var connection = TCPConnection(
      sendNext: segment.acknowledgment, receiveNext: segment.sequence,
      peerWindow: Int(segment.window) &<< Int(scale ?? 0),
      peerScale: scale, isSealed: sealsFrames,
      identification: UInt16(truncatingIfNeeded: random.next()),
      // Of the SYN there is only the cookie's class of its MSS, and that scaling survived.
      observed: TCPOptions(maximumSegmentSize: mss, windowScale: hello.observed.windowScale))
    connection.received(
      upTo: segment.sequence &+ UInt32(truncatingIfNeeded: segment.payload.byteCount))
    return connection
  }

  /// The channel that was not confirmed for longest makes room: its client is gone, most likely.
  private mutating func makeRoomForUnconfirmed() {
    guard unconfirmed.count >= limits.unconfirmedChannels,
      let oldest = unconfirmed.values.min(by: { channels[$0].retryAt < channels[$1].retryAt })
    else { return }
    counters.drop(.handshakeLimit)
    forgetUnconfirmed(oldest)
  }

  /// Ends a channel that was never confirmed; nobody was told of it.
  mutating func forgetUnconfirmed(_ index: Int) {
    unconfirmed[Place(channels[index].kind, channels[index].tuple)] = nil
    if channels[index].numbered != nil { unlist(index) }
    timers.cancel(.channel(index))
    channels.remove(index)
    channels.recycle(index)
  }

  /// The client has our Hello, and is no repetition: the channel joins its session, and takes the place
  /// of the one that its four-tuple had. False where there is no room for it; then it is gone.
  mutating func confirm(
    _ index: Int, into segments: inout SegmentBatch, at now: Instant
  ) -> Bool {
    let tuple = channels[index].tuple
    unconfirmed[Place(channels[index].kind, tuple)] = nil
    if channels[index].tcp != nil, let previous = byTuple[tuple] {
      removeChannel(previous, at: now)
    }
    guard let claim = channels[index].claim, let session = session(for: claim, at: now) else {
      forgetUnconfirmed(index)
      return false
    }
    makeRoom(in: session, at: now)
    channels[index].session = session
    channels[index].open(at: now)
    enroll(index)
    noteUse(of: claim.keyName) { $0.channels += 1 }
    counters.channelsOpened &+= 1
    events.append(.channelOpened(channel: index, tuple))
    // A probe of our own measures the path, as the client's does for it.
    channels[index].liveness.measuredAtMost(now - channels[index].liveness.lastHeard)
    sendProbe(on: index, into: &segments, at: now)
    becameHealthy(index, into: &segments, at: now)
    recallProxy(of: index, at: now)
    heedEarlyWarning(of: index, into: &segments, at: now)
    sizeChanged(index, at: now)
    return true
  }
}
