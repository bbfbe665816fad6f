// The Hello that both sides send first on a channel.

internal import Wire

extension TunnelEngine {
  /// Sends this side's Hello: the first time with the next sequence number, then again with the
  /// same.
  mutating func sendHello(on index: Int, into segments: inout SegmentBatch) {
    let channel = channels[index]
    let hello = Hello(
      observed: channel.observed, segmentSize: UInt16(channel.path.segmentSize),
      channel: channel.id, session: sessions[channel.session].id)
    var bytes = InlineArray<33, UInt8>(repeating: 0)
    var span = bytes.mutableSpan
    var record = span.mutableOctets
    hello.emitRecord(into: &record)
    guard segments.beginRun(channel: nil), segments.append(copying: bytes.span.octets) else {
      return counters.drop(.batchFull)
    }
    let flags: TCPFlags = [.ack, .psh]
    let (header, identification) =
      channel.tcp.sendHighest == channel.firstSequence
      ? channels[index].tcp.nextHeader(
        channel.tuple, flags: flags, payloadLength: Hello.recordByteCount)
      : channels[index].tcp.repeatedHeader(
        channel.tuple, flags: flags, sequence: channel.firstSequence)
    segments.finishRun(
      header, from: channel.tuple.local.address, to: channel.tuple.remote.address,
      identification: identification)
  }

  mutating func tellVersion(_ version: UInt8, of remote: Endpoint) {
    counters.drop(.badHello)
    guard !hasToldVersion else { return }
    hasToldVersion = true
    events.append(.versionMismatch(remote: remote, version: version))
  }
}
