// Paths that end TCP connections: how one is noticed, and what follows. A channel that is proxied carries
// datagrams only where no other one is as healthy (`demerits(of:)`), and the peer is told in reports.

internal import Wire

extension TunnelEngine {
  /// Looks for signs of a real TCP in the header of a segment that has no data, or options, before what it
  /// acknowledges is taken.
  mutating func lookForProxy(
    _ header: TCPHeader, options: RawSpan, on index: Int, into segments: inout SegmentBatch,
    at now: Instant
  ) {
    guard channels[index].state == .open, let tcp = channels[index].tcp else { return }
    let isFound =
      if TCPOptions(parsing: options).acknowledgesSelectively {
        channels[index].proxySigns.note(at: now)
      } else if header.flags == .ack, tcp.isRepeated(header.acknowledgment) {
        channels[index].proxySigns.noteRepeated(acknowledgment: header.acknowledgment)
      } else {
        false
      }
    guard isFound else { return }
    foundProxy(on: index, at: now)
    distrust(index, into: &segments, at: now)
  }

  /// A segment had no frame that is new, or none any more behind the last one: up to `end` of its payload
  /// there are new ones. Drops counted since it came tell why.
  mutating func noteUnread(
    _ header: TCPHeader, payload: Range<Int>, from end: Int, isCut: Bool, isRepeated: Bool,
    on index: Int, into segments: inout SegmentBatch, at now: Instant
  ) {
    guard channels[index].state == .open, let tcp = channels[index].tcp else { return }
    let hasNews = end > payload.lowerBound
    let stop = header.sequence &+ UInt32(truncatingIfNeeded: payload.count)
    let continuesCut = !hasNews && channels[index].proxySigns.continuesCut(header.sequence)
    if continuesCut || isCut && (hasNews || header.sequence == tcp.receiveNext) {
      guard channels[index].proxySigns.noteCut(at: stop, at: now) else { return }
      foundProxy(on: index, at: now)
      distrust(index, into: &segments, at: now)
    } else if !hasNews, isRepeated, !isCut,
      channels[index].proxySigns.noteRepeated(upTo: stop, next: tcp.receiveNext, at: now)
    {
      foundProxy(on: index, at: now)
    }
  }

  /// The signs are enough. A TCP that waits for a byte that was lost, or a stream that was cut, does not get
  /// well again: then the channel is distrusted besides. One that sends again is not stuck, and may be
  /// somebody who repeats what he has heard.
  private mutating func foundProxy(on index: Int, at now: Instant) {
    sessions[channels[index].session].proxiedPorts.insert(serverPort(of: index), at: now)
    noteProxied(index, by: .thisEnd, at: now)
  }

  /// A channel has opened: what was found of its port before holds for it, too.
  mutating func recallProxy(of index: Int, at now: Instant) {
    guard channels[index].tcp != nil,
      sessions[channels[index].session].proxiedPorts.contains(serverPort(of: index), at: now)
    else { return }
    noteProxied(index, by: .thisEnd, at: now)
  }

  /// Somebody has found that the channel is proxied; said once a session.
  mutating func noteProxied(_ index: Int, by finder: ProxyFinder, at now: Instant) {
    guard channels[index].tcp != nil, channels[index].proxyFinder != .thisEnd else { return }
    if finder == .thisEnd { oweReport(on: index, at: now) }
    let isNews = channels[index].proxyFinder == .nobody
    channels[index].proxyFinder = finder
    guard isNews else { return }
    let session = channels[index].session
    markStale(session)
    guard !sessions[session].hasToldProxy else { return }
    sessions[session].hasToldProxy = true
    let hasOthers =
      dialer != nil
      ? configuration.carriers != [.tcp]
      : sessions[session].channels.contains { channels[$0].tcp == nil }
    events.append(
      .proxied(
        sessions[session].id, keyName: sessions[session].keyName, port: serverPort(of: index),
        hasOthers: hasOthers))
  }

  private func serverPort(of index: Int) -> UInt16 {
    dialer == nil ? channels[index].tuple.local.port : channels[index].tuple.remote.port
  }
}
