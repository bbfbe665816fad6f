// The opening of a channel as the client sees it: SYN, SYN-ACK, Hello, the server's Hello.

internal import Crypto
public import Wire

extension TunnelEngine {
  /// Whether none of the latest channels had these ports. Another source port is drawn where one had: the network
  /// may still count what that one carried.
  public func isFresh(_ tuple: FourTuple) -> Bool {
    dialer?.latestPorts.contains(tuple) != true
  }

  /// Answers `Event.dial`: opens a channel and sends its SYN, or knocks. Gives the channel's index. Where
  /// the carrier has no ports, the local port does not count.
  public mutating func dial(
    slot: Int, tuple: FourTuple, path: Path, into segments: inout SegmentBatch, at now: Instant
  ) -> Int {
    let kind = dialer?.slots[slot].carrier ?? .tcp
    var tuple = tuple
    if kind.hasPorts {
      dialer?.latestPorts.insert(tuple)
    } else {
      tuple.local.port = drawIdentifier()
    }
    let carrier = connection(kind, on: tuple, at: now)
    let allowance = Allowance(
      configuration.rotation.budget(&random), mtu: path.mtu, isClient: true)
    let index = addChannel(
      Channel(
        tuple: tuple, id: drawChannelNumber(), session: 0, slot: slot, state: .synSent,
        carrier: carrier, flowLabel: flowLabel(for: tuple, key: secret), path: path,
        peerSegmentSize: 0, allowance: allowance, at: now))
    sendOpening(on: index, into: &segments, at: now)
    retryLater(index, at: now)
    return index
  }

  /// A connection that is about to be opened.
  private mutating func connection(
    _ carrier: Carrier, on tuple: FourTuple, at now: Instant
  ) -> CarrierState {
    switch carrier {
    case .tcp:
      let isn =
        configuration.initialSequence ?? initialSequence(for: tuple, key: secret, at: now)
      return .tcp(
        TCPConnection(
          sendNext: isn &+ 1, receiveNext: 0, peerWindow: 0, peerScale: nil,
          isSealed: sealsFrames, identification: UInt16(truncatingIfNeeded: random.next())))
    case .udp: return .udp(NumberedConnection())
    case .icmp:
      // As ping(8) counts.
      return .icmp(
        NumberedConnection(),
        EchoConnection(
          sequence: 1, identification: UInt16(truncatingIfNeeded: random.next())))
    }
  }

  /// Answers `Event.dial` where there is no way to the server, or no local port.
  public mutating func dialFailed(slot: Int, at now: Instant) {
    dialer?.slots[slot].pending -= 1
    dialer?.slots[slot].lastDial = nil
    scheduleDialer(at: now)
    hastenRace(at: now)
  }

  mutating func sendSYN(on index: Int, into segments: inout SegmentBatch) {
    guard let first = channels[index].tcp?.firstSequence,
      let identification = channels[index].tcp?.takeIdentification()
    else { return }
    let tuple = channels[index].tuple
    let mss = UInt16(channels[index].path.tcpSegmentSize(isIPv4: tuple.isIPv4))
    let options = TCPProfile.options(mss: mss)
    guard segments.beginRun(channel: nil, family: tuple.family, optionLength: options.count) else {
      return counters.drop(.batchFull)
    }
    let header = TCPHeader(
      sourcePort: tuple.local.port, destinationPort: tuple.remote.port,
      sequence: first &- 1, acknowledgment: 0, flags: .syn,
      window: TCPProfile.handshakeWindow(isIPv4: tuple.isIPv4))
    segments.finishRun(
      header, from: tuple.local.address, to: tuple.remote.address,
      identification: identification, flowLabel: channels[index].flowLabel,
      options: options.span.octets)
  }

  /// A SYN-ACK, or a Hello, on a channel of this client.
  mutating func clientReceive(
    _ segment: borrowing TCPSegment, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    if segment.flags.contains(.syn) {
      receiveSYNACK(segment, on: index, into: &segments, at: now)
    } else if channels[index].state == .helloSent {
      receiveServerHello(segment, on: index, into: &segments, at: now)
    }
  }

  private mutating func receiveSYNACK(
    _ segment: borrowing TCPSegment, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard segment.flags.isSuperset(of: [.syn, .ack]), !segment.flags.contains(.rst),
      segment.acknowledgment == channels[index].tcp?.firstSequence
    else { return counters.drop(.outsideWindow) }
    if channels[index].state == .synSent {
      acceptSYNACK(segment, on: index, at: now)
      writeFirstMessage(on: index, at: now)
      sendAcknowledgment(on: index, into: &segments)
      sendHello(on: index, into: &segments)
      retryLater(index, at: now)
    } else if channels[index].state == .helloSent {
      sendAcknowledgment(on: index, into: &segments)
    }
  }

  private mutating func acceptSYNACK(
    _ segment: borrowing TCPSegment, on index: Int, at now: Instant
  ) {
    let observed = TCPOptions(parsing: segment.options)
    channels[index].peerSegmentSize = Int(
      observed.maximumSegmentSize
        ?? TCPProfile.defaultMSS(isIPv4: channels[index].tuple.isIPv4))
    channels[index].tcp = TCPConnection(
      sendNext: segment.acknowledgment, receiveNext: segment.sequence &+ 1,
      peerWindow: Int(segment.window), peerScale: observed.windowScale,
      isSealed: sealsFrames, identification: channels[index].tcp?.takeIdentification() ?? 0,
      observed: observed)
    // Which SYN is answered is unknown where several were sent (Karn's rule, RFC 6298), but a path
    // slower than the retransmission must not pass for a fast one.
    channels[index].liveness.measuredAtMost(now - channels[index].liveness.lastHeard)
    channels[index].state = .helloSent
    channels[index].attempts = 0
  }

  /// Writes the channel's first message: a Hello, in the key exchange where there is a key.
  mutating func writeFirstMessage(on index: Int, at now: Instant) {
    var hello = hello(
      channels[index].carrier, path: channels[index].path,
      isIPv4: channels[index].tuple.isIPv4, channel: channels[index].id,
      session: sessions[0].id)
    hello.budget = channels[index].allowance.budget
    guard let clientKeys else {
      return setFirstMessage(hello.bytes, on: index)
    }
    let time = serverClock(at: now)
    let suite = configuration.hasFastAES ? CipherSuite.aes256GCM : .chaCha20Poly1305
    let hint: InlineArray<1, UInt32> = [hint(on: index, at: now).bigEndian]
    let octets = hint.span.octets
    let preamble =
      (0..<octets.byteCount).map { octets.byte(at: $0) } + [FirstMessage.code(of: suite)]
    var exchange = NoiseHandshake(
      .initiator, suite: suite,
      prologue: FirstMessage.prologue(preamble: preamble.span.octets).span.octets,
      preSharedKey: clientKeys.exchange)
    let supplement = HelloSupplement(time: time, cookie: channels[index].carrier.cookie)
    let payload = hello.bytes + supplement.bytes + FirstMessage.padding(random: &random)
    let message = exchange.writeMessage(
      ephemeral: keyStream.nextKey(), payload: payload.span.octets)
    setFirstMessage(preamble + (message ?? []), on: index)
    channels[index].exchange = consume exchange
  }

  private mutating func setFirstMessage(_ content: [UInt8], on index: Int) {
    channels[index].firstMessage = channels[index].carrier.firstMessage(
      content, channel: channels[index].id, ofClient: true)
  }

  /// The hint of our key for this channel; without a key one that nobody reads.
  mutating func hint(on index: Int, at now: Instant) -> UInt32 {
    guard let clientKeys else { return 0 }
    channels[index].doubtsClock = doubtsClock
    let time = serverClock(at: now)
    let period = doubtsClock ? .noClock : HintPeriod.containing(milliseconds: time)
    return period.hint(clientKeys)
  }

  /// The server's time in milliseconds since 1970, as far as this client knows it.
  private func serverClock(at now: Instant) -> UInt64 {
    UInt64(clamping: Int64(clamping: clock(at: now)) &+ serverClockOffset)
  }

  /// The first message was sent three times without an answer: maybe the clock is wrong, and the server
  /// does not find the key by the hint. Where the message did not say the time, the server is away, most
  /// likely. Other channels may have come to the same conclusion.
  mutating func doubtClock(after index: Int) {
    if clientKeys != nil { doubtsClock = !channels[index].doubtsClock }
  }

  private mutating func receiveServerHello(
    _ segment: borrowing TCPSegment, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    let length = segment.payload.byteCount
    guard channels[index].tcp?.isAcceptable(segment.header, payloadLength: length) == true,
      let content = HandshakeRecord.content(of: segment.payload)
    else { return counters.drop(.badHello) }
    let header = segment.header
    guard let hello = readAnswer(content, on: index, at: now) else { return }
    _ = channels[index].tcp?.acknowledge(header)
    channels[index].tcp?.received(upTo: header.sequence &+ UInt32(truncatingIfNeeded: length))
    channels[index].peerSegmentSize =
      min(channels[index].peerSegmentSize, Int(hello.segmentSize))
    channelOpened(index, into: &segments, at: now)
  }

  /// The server's Hello, where it fits ours; with a key, the channel has its cipher then.
  mutating func readAnswer(
    _ content: RawSpan, on index: Int, at now: Instant
  ) -> Hello? {
    guard clientKeys != nil || channels[index].exchange != nil else {
      guard let hello = Hello(parsing: content) else {
        counters.drop(.badHello)
        return nil
      }
      return isFit(hello, on: index) ? hello : nil
    }
    // Whoever was first with an answer that does not open has ended this attempt; there will be more.
    guard var exchange = channels[index].exchange.take(),
      let payload = exchange.readMessage(content), let hello = Hello(parsing: payload.span.octets),
      let supplement = HelloSupplement(parsingBehindHello: payload.span.octets)
    else {
      counters.drop(.badHandshake)
      return nil
    }
    serverClockOffset = Int64(clamping: supplement.time) &- Int64(clamping: clock(at: now))
    doubtsClock = false
    guard isFit(hello, on: index) else { return nil }
    guard let agreement = CipherAgreement(cipherFlags, hello.flags) else {
      tellCipher(of: channels[index].tuple.remote)
      return nil
    }
    channels[index].resetToken = supplement.resetToken
    let keys = exchange.split()
    if case .sealed(let suite) = agreement {
      channels[index].cipher = FrameCipher(
        suite, keys: ChannelKeys(sealing: keys.clientToServer, opening: keys.serverToClient))
    }
    return hello
  }

  /// Whether a server's Hello answers ours.
  private mutating func isFit(_ hello: Hello, on index: Int) -> Bool {
    guard hello.version == configuration.version else {
      tellVersion(hello.version, of: channels[index].tuple.remote)
      return false
    }
    guard hello.session == sessions[0].id, hello.channel == channels[index].id else {
      counters.drop(.badHello)
      return false
    }
    return true
  }

  mutating func channelOpened(
    _ index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    counters.channelsOpened &+= 1
    channels[index].open(at: now)
    _ = channels[index].liveness.heard(at: now)
    beginKeepalive(index, at: now)
    if let age = configuration.rotation.age(&random) { channels[index].rotateAt = now + age }
    let previous = takeSlot(for: index, at: now)
    noteServer(of: index, at: now)
    // The first frame tells the server that its Hello arrived, and measures the path.
    sendProbe(on: index, into: &segments, at: now)
    becameHealthy(index, into: &segments, at: now)
    recallProxy(of: index, at: now)
    if let previous { closeChannel(previous, at: now, into: &segments) }
    heedEarlyWarning(of: index, into: &segments, at: now)
    sizeChanged(index, at: now)
  }

  /// Makes the channel its slot's own and forgets other dials for it; gives the one it replaces.
  private mutating func takeSlot(for index: Int, at now: Instant) -> Int? {
    let slot = channels[index].slot
    let previous = dialer?.slots[slot].channel
    dialer?.slots[slot].channel = index
    dialer?.slots[slot].isSuspect = false
    dialer?.slots[slot].failures = 0
    dialer?.slots[slot].pending -= 1
    for other in sessions[0].channels where channels[other].slot == slot {
      abandonDial(other, at: now)
    }
    return previous
  }

  /// Gives up a dial that another one overtook. The channel lingers, and its port with it: the kernel
  /// would answer a late SYN-ACK with an RST.
  mutating func abandonDial(_ index: Int, at now: Instant) {
    guard channels[index].isDialling else { return }
    dialer?.slots[channels[index].slot].pending -= 1
    channels[index].state = .lingering
    channels[index].retryAt = now + Self.lingerTime
    reschedule(index, at: now)
  }
}
