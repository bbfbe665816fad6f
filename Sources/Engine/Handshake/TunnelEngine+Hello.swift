// The Hello that both sides send first on a channel.

internal import Wire

extension TunnelEngine {
  /// Sends this side's Hello: the first time with the next sequence number, then again with the
  /// same.
  mutating func sendHello(on index: Int, into segments: inout SegmentBatch) {
    guard begin(hello(of: index), into: &segments) else { return counters.drop(.batchFull) }
    let tuple = channels[index].tuple
    let first = channels[index].firstSequence
    let flags: TCPFlags = [.ack, .psh]
    let (header, identification) =
      channels[index].tcp.sendHighest == first
      ? channels[index].tcp.nextHeader(tuple, flags: flags, payloadLength: Hello.recordByteCount)
      : channels[index].tcp.repeatedHeader(tuple, flags: flags, sequence: first)
    segments.finishRun(
      header, from: tuple.local.address, to: tuple.remote.address, identification: identification)
  }

  private func hello(of index: Int) -> Hello {
    Hello(
      observed: channels[index].observed,
      segmentSize: UInt16(channels[index].announcedSegmentSize), channel: channels[index].id,
      session: sessions[channels[index].session].id)
  }

  /// Begins a segment with the Hello as its payload; false, and nothing done, where the batch is
  /// full.
  func begin(_ hello: Hello, into segments: inout SegmentBatch) -> Bool {
    var bytes = InlineArray<33, UInt8>(repeating: 0)
    var span = bytes.mutableSpan
    var record = span.mutableOctets
    hello.emitRecord(into: &record)
    guard segments.beginRun(channel: nil) else { return false }
    guard segments.append(copying: bytes.span.octets) else {
      segments.abandonRun()
      return false
    }
    return true
  }

  mutating func tellVersion(_ version: UInt8, of remote: Endpoint) {
    counters.drop(.badHello)
    guard !hasToldVersion else { return }
    hasToldVersion = true
    events.append(.versionMismatch(remote: remote, version: version))
  }
}
