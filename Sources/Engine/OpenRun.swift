// How frames share segments, and segments a run.

internal import Wire

/// A run of segments while it is being put together. Small frames share a segment, as many as there is
/// room for: the first segment takes what fits the channel, each one behind it as much as the first.
struct OpenRun {
  let channel: Int
  /// The flow of its first datagram.
  let flow: Int
  /// Bytes that the channel's window and an IP packet have room for.
  let room: Int
  let limit: Int
  /// The most bytes of one segment.
  let segmentLimit: Int
  private(set) var segmentSize = 0
  private(set) var total = 0
  private(set) var count = 0
  /// The bytes of the newest segment.
  private var last = 0

  init(channel: Int, flow: Int, room: Int, limit: Int, segmentLimit: Int) {
    self.channel = channel
    self.flow = flow
    self.room = min(room, SegmentBatch.runPayloadLimit)
    self.limit = limit
    self.segmentLimit = segmentLimit
  }

  /// Whether a frame of `size` bytes can be next.
  @inline(__always)
  func accepts(_ size: Int) -> Bool { total &+ size <= room && (joins(size) || begins(size)) }

  /// Whether it fits into the newest segment.
  @inline(__always)
  func joins(_ size: Int) -> Bool {
    count > 0 && last &+ size <= (count == 1 ? segmentLimit : segmentSize)
  }

  /// Whether another segment can begin with it: only the last one is shorter.
  @inline(__always)
  private func begins(_ size: Int) -> Bool {
    count < limit && (count == 0 || last == segmentSize && size <= segmentSize)
  }

  mutating func add(_ size: Int) {
    if joins(size) {
      last &+= size
    } else {
      last = size
      count &+= 1
    }
    if count == 1 { segmentSize = last }
    total &+= size
  }
}
