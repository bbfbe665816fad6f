// The frames of a payload, plain or sealed, as somebody on the way sees them.

import Wire

/// What can be seen of the frames of a payload.
struct FrameList: Sequence, IteratorProtocol {
  struct Frame {
    let number: UInt32
    /// Nil where it is sealed.
    let type: UInt8?
    let payload: Range<Int>
    let end: Int
  }

  private var frames: ArraySlice<Frame>

  init(_ bytes: RawSpan) {
    var frames: [Frame] = []
    var offset = 0
    while let frame = Self.frame(at: offset, in: bytes), frame.end <= bytes.byteCount {
      frames.append(frame)
      offset = frame.end
    }
    self.frames = frames[...]
  }

  mutating func next() -> Frame? { frames.popFirst() }

  private static func frame(at offset: Int, in bytes: RawSpan) -> Frame? {
    if let sealed = SealedFrame(parsing: bytes, at: offset) {
      let start = offset + SealedFrame.headerByteCount
      return Frame(
        number: sealed.number, type: nil, payload: start..<start + sealed.payloadLength,
        end: offset + sealed.byteCount)
    }
    guard let header = FrameHeader(parsing: bytes, at: offset) else { return nil }
    let start = offset + FrameHeader.byteCount
    let end = start + Int(header.length)
    return Frame(number: header.number, type: header.type, payload: start..<end, end: end)
  }
}
