// What somebody on the way knows of a connection: enough to forge segments that fit.

import Wire

/// One connection as it was last seen.
struct Line {
  /// What one side has sent.
  struct Side {
    let endpoint: Endpoint
    /// The sequence number behind its last segment.
    private(set) var next: UInt32 = 0
    /// Its last acknowledgment.
    private(set) var acknowledgment: UInt32 = 0
    /// The number of its next frame.
    private(set) var frame: UInt32 = 0
    /// The payload of its last probe.
    private(set) var probe: [UInt8] = []

    init(endpoint: Endpoint) { self.endpoint = endpoint }
  }

  private(set) var client: Side
  private(set) var server: Side
  /// The channel's name in the Hello.
  private(set) var name: UInt32 = 0
  /// Who the client is, where it has the key and is none of ours.
  var insider: Insider?

  init(client: Side, server: Side) {
    self.client = client
    self.server = server
  }

  /// Takes note of a segment of one of the sides.
  mutating func observe(_ segment: borrowing TCPSegment, _ direction: Direction) {
    switch direction {
    case .toServer: client.observe(segment)
    case .toClient: server.observe(segment)
    }
    guard let content = HandshakeRecord.content(of: segment.payload) else { return }
    if let hello = Hello(parsing: content) { name = hello.channel }
    if direction == .toClient { insider?.read(content) }
  }
}

extension Line.Side {
  fileprivate mutating func observe(_ segment: borrowing TCPSegment) {
    let control = segment.flags.isDisjoint(with: [.syn, .fin]) ? 0 : 1
    next = segment.sequence &+ UInt32(segment.payload.byteCount + control)
    acknowledgment = segment.acknowledgment
    guard HandshakeRecord.content(of: segment.payload) == nil else { return }
    for seen in FrameList(segment.payload) {
      frame = seen.number &+ 1
      if seen.type == FrameType.probe.rawValue {
        probe = seen.payload.map { segment.payload.byte(at: $0) }
      }
    }
  }
}
